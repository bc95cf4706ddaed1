#include "jobs/network/networks.h"

#include <algorithm>
#include <array>
#include <bitset>

#include "graph/graph_writer.h"
#include "jobs/daemon.h"
#include "jobs/network/network_check.h"
#include "jobs/sandbox_pool.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

constexpr const char* bridge_interface_default = "davit0";

Result<std::vector<std::string>> records_read(const GraphDb& db) {
    return db.view([](const ReadTxn& txn) -> Result<std::vector<std::string>> {
        std::vector<std::string> records;
        TRY_VOID(txn.scan(
            Table::networks, {}, [&](std::string_view, std::string_view bytes) -> Result<bool> {
                records.emplace_back(bytes);
                return true;
            }));
        return records;
    });
}

/// The pool of a subnet, without what is reserved.
Result<AddressPool> pool_make(const IpamConfig& config) {
    TRY(const Subnet subnet, Subnet::parse(config.subnet));
    Subnet range;
    if (!config.ip_range.empty()) {
        TRY(range, Subnet::parse(config.ip_range));
    }
    AddressPool pool(subnet, range);
    TRY(const std::vector<IpAddress> reserved, reserved_addresses(config));
    for (const IpAddress& address : reserved) {
        TRY_VOID(pool.take(address));
    }
    return pool;
}

/// The first address of the subnet that is free.
Result<IpAddress> gateway_choose(IpamConfig config) {
    config.ip_range.clear();
    TRY(AddressPool pool, pool_make(config));
    return pool.allocate();
}

/// The link of the host's that carries it.
void interface_name(NetworkRecord& record) {
    record.interface = record.option(record.hangs() ? option_parent : option_bridge_name);
    if (record.interface.empty()) {
        record.interface =
            record.hangs() ? network_parent_name(record.id) : network_interface_name(record.id);
    }
}

bool overlap(const NetworkSpec& a, const NetworkSpec& b) {
    return (!a.subnet.unset() && a.subnet.overlaps(b.subnet)) ||
           (!a.subnet6.unset() && !b.subnet6.unset() && a.subnet6.overlaps(b.subnet6));
}

std::map<std::string, std::string> default_bridge_options(const std::string& interface) {
    return {{"com.docker.network.bridge.default_bridge", "true"},
            {option_icc, "true"},
            {option_masquerade, "true"},
            {option_binding, "0.0.0.0"},
            {option_bridge_name, interface},
            {option_mtu, "1500"}};
}

}  // namespace

void network_places(BridgeDriverOptions& options, const std::string& run_dir) {
    options.pin_directory = run_dir + "/bpf";
    options.loopback_note = run_dir + "/loopback";
}

Task<void> Networks::open() {
    BridgeDriverOptions options;
    options.owner = daemon_.id;
    network_places(options, daemon_.config.run_dir);
    if (const CgroupLayout::Hierarchy* unified = daemon_.cgroups.unified()) {
        options.cgroup_path = unified->mount_point + daemon_.config.network_cgroup;
    }
    hanging_ = child_driver_make(options.owner);
    bridge_ = bridge_driver_make(std::move(options));
    CO_TRY(const std::vector<std::string> records, records_read(*daemon_.graph));
    for (const std::string& text : records) {
        Result<NetworkRecord> record = network_record_read(text);
        if (record) {
            CO_CHECK(insert(*std::move(record)));
        } else {
            LOG_ERROR("{}, ignoring", record.error().message());
        }
    }
    static constexpr std::array<std::pair<const char*, const char*>, 3> builtins{
        {{"bridge", "bridge"}, {"host", "host"}, {"none", "null"}}};
    for (const auto& [name, driver] : builtins) {
        if (find(name)) {
            continue;
        }
        CO_TRY(NetworkRecord record, co_await builtin_make(name, driver));
        CO_CHECK(co_await store(record));
        CO_CHECK(insert(std::move(record)));
    }
    co_return ok;
}

Task<NetworkRecord> Networks::builtin_make(std::string name, std::string driver) {
    NetworkRecord record;
    record.id = NetworkId::generate();
    record.name = std::move(name);
    record.driver = std::move(driver);
    record.created = wall_now();
    record.number = number_free();
    if (record.driver == "bridge") {
        // Another daemon of this host (a test's) has another run directory, and another bridge.
        record.interface = daemon_.config.run_dir == "/run/davit"
                               ? std::string(bridge_interface_default)
                               : network_interface_name(record.id);
        record.options = default_bridge_options(record.interface);
        CO_CHECK(co_await subnet_fill(record));
    }
    co_return std::move(record);
}

Result<void> Networks::insert(NetworkRecord record) {
    auto network = std::make_shared<Network>();
    network->record = std::move(record);
    if (network->record.has_addresses()) {
        TRY(network->spec, network_spec(network->record));
        for (const IpamConfig& config : network->record.ipam) {
            TRY((config.is_v6() ? network->pool6 : network->pool), pool_make(config));
        }
    }
    by_name_.emplace(network->record.name, network->record.id);
    networks_.emplace(network->record.id, std::move(network));
    return ok;
}

NetworkDriver& Networks::driver_of(const Network& network) const {
    return network.record.hangs() ? *hanging_ : *bridge_;
}

Task<void> Networks::store(const NetworkRecord& record) {
    auto put = [id = record.id, text = network_record_write(record)](WriteTxn& txn) {
        return txn.put(Table::networks, id.str(), text);
    };
    co_return co_await daemon_.graph_writer->update(std::move(put));
}

std::uint32_t Networks::number_free() const {
    std::bitset<networks_max> taken;
    for (const auto& [id, network] : networks_) {
        if (network->record.number < networks_max) {
            taken.set(network->record.number);
        }
    }
    std::uint32_t number = 1;
    while (number < networks_max && taken.test(number)) {
        ++number;
    }
    return number;
}

/// Complete what was not asked for: subnets and gateways.
Task<void> Networks::subnet_fill(NetworkRecord& record) {
    const bool wants6 = record.enable_ipv6 && !record.subnet6_asked;
    if (!record.subnet_asked || wants6) {
        CO_TRY(std::vector<Subnet> taken, co_await bridge_->subnets_taken());
        taken.reserve(taken.size() + 2 * networks_.size());
        for (const auto& [id, network] : networks_) {
            for (const Subnet& subnet : {network->spec.subnet, network->spec.subnet6}) {
                if (!subnet.unset()) {
                    taken.push_back(subnet);
                }
            }
        }
        if (!record.subnet_asked) {
            CO_TRY(const Subnet subnet, subnet_choose(subnet_pools_default(), taken));
            record.ipam.emplace(record.ipam.begin())->subnet = subnet.str();
        }
        if (wants6) {
            const SubnetPool pool = subnet_pool6(daemon_.id);
            CO_TRY(const Subnet subnet, subnet_choose(std::span(&pool, 1), taken));
            record.ipam.emplace_back().subnet = subnet.str();
        }
    }
    for (IpamConfig& config : record.ipam) {
        if (config.gateway.empty()) {
            CO_TRY(const IpAddress gateway, gateway_choose(config));
            config.gateway = gateway.str();
        }
    }
    co_return ok;
}

/// The subnet of the default bridge was chosen when the daemon first ran, but its bridge is made
/// with the first container: meanwhile another daemon, or a VPN, may have come to use it.
Task<void> Networks::subnet_settle(Network& network) {
    if (settled_ || !network.record.is_builtin() || network.record.driver != "bridge") {
        co_return ok;
    }
    CO_TRY(const auto permit, co_await create_turn_.lock());
    if (settled_ || !network.members.empty()) {
        co_return ok;
    }
    CO_TRY(const std::vector<Subnet> taken,
           co_await bridge_->subnets_taken(network.record.interface));
    const bool is_taken = std::ranges::any_of(
        taken, [&](const Subnet& subnet) { return subnet.overlaps(network.spec.subnet); });
    if (is_taken && network.members.empty()) {
        NetworkRecord record = network.record;
        record.ipam.clear();
        CO_CHECK(co_await subnet_fill(record));
        CO_TRY(NetworkSpec spec, network_spec(record));
        CO_TRY(AddressPool pool, pool_make(record.ipam.front()));
        CO_CHECK(co_await shielded(store(record)));
        LOG_WARN("network={}: the host uses {} by now: containers get addresses of {}",
                 record.name,
                 network.spec.subnet.str(),
                 spec.subnet.str());
        network.record = std::move(record);
        network.spec = spec;
        network.pool = std::move(pool);
    }
    settled_ = true;
    co_return ok;
}

Result<std::shared_ptr<Network>> Networks::find(std::string_view text) const {
    if (const auto id = NetworkId::parse(text)) {
        if (const auto found = networks_.find(*id); found != networks_.end()) {
            return found->second;
        }
    }
    if (const auto named = by_name_.find(text); named != by_name_.end()) {
        return networks_.at(named->second);
    }
    std::shared_ptr<Network> by_prefix;
    bool several = false;
    for (const auto& [id, network] : networks_) {
        if (!text.empty() && id.str().starts_with(text)) {
            several = by_prefix != nullptr;
            by_prefix = network;
        }
    }
    if (several) {
        return Error(ErrorKind::invalid_argument,
                     "network " + std::string(text) + " is ambiguous (2 matches found on name)");
    }
    if (by_prefix) {
        return by_prefix;
    }
    return Error(ErrorKind::not_found, "network " + std::string(text) + " not found");
}

std::vector<std::shared_ptr<Network>> Networks::list() const {
    std::vector<std::shared_ptr<Network>> networks;
    for (const auto& [id, network] : networks_) {
        networks.push_back(network);
    }
    std::ranges::sort(networks, [](const auto& a, const auto& b) {
        return std::tie(a->record.name, a->record.created) <
               std::tie(b->record.name, b->record.created);
    });
    return networks;
}

void Networks::event(const Network& network, std::string action, const Container* container) const {
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("name", network.record.name);
    attributes.emplace_back("type", network.record.driver);
    if (container != nullptr) {
        attributes.emplace_back("container", container->id().str());
    }
    daemon_.events.publish(
        "network", std::move(action), network.record.id.str(), std::move(attributes));
}

Task<std::shared_ptr<Network>> Networks::create(NetworkCreateRequest request) {
    CO_CHECK(network_create_check(request));
    CO_TRY(const auto permit, co_await create_turn_.lock());
    NetworkRecord record = std::move(request.record);
    if (by_name_.contains(record.name)) {
        co_return Error(ErrorKind::conflict,
                        "network with name " + record.name + " already exists");
    }
    record.id = NetworkId::generate();
    record.created = wall_now();
    record.number = number_free();
    if (record.number >= networks_max) {
        co_return Error(ErrorKind::resource_exhausted, "there are too many networks");
    }
    std::erase_if(record.ipam, [](const IpamConfig& config) { return config.subnet.empty(); });
    std::ranges::stable_sort(record.ipam, {}, &IpamConfig::is_v6);
    record.subnet_asked = !record.ipam.empty() && !record.ipam.front().is_v6();
    record.subnet6_asked = !record.ipam.empty() && record.ipam.back().is_v6();
    CO_CHECK(co_await subnet_fill(record));
    for (const IpamConfig& config : record.ipam) {
        CO_CHECK(network_addresses_check(config));
    }
    interface_name(record);
    CO_TRY(const NetworkSpec spec, network_spec(record));
    for (const auto& [id, network] : networks_) {
        CO_CHECK(network_parent_check(record, network->record));
        if (overlap(network->spec, spec)) {
            co_return Error(ErrorKind::permission_denied,
                            "invalid pool request: Pool overlaps with other one on this address "
                            "space");
        }
    }
    // The intent first: a bridge without a record would be nobody's.
    CO_CHECK(co_await store(record));
    NetworkDriver& driver = record.hangs() ? *hanging_ : *bridge_;
    Result<void> made = co_await driver.network_make(spec);
    if (!made) {
        auto erase = [id = record.id](WriteTxn& txn) -> Result<void> {
            TRY([[maybe_unused]] const bool was, txn.erase(Table::networks, id.str()));
            return ok;
        };
        static_cast<void>(co_await shielded(daemon_.graph_writer->update(std::move(erase))));
        co_return std::move(made).error();
    }
    const NetworkId id = record.id;
    CO_CHECK(insert(std::move(record)));
    const std::shared_ptr<Network> network = networks_.at(id);
    event(*network, "create", nullptr);
    co_return network;
}

Task<void> Networks::remove(std::shared_ptr<Network> network) {
    const NetworkRecord& record = network->record;
    if (record.is_builtin()) {
        co_return Error(ErrorKind::permission_denied,
                        record.name + " is a pre-defined network and cannot be removed");
    }
    CO_TRY(const auto permit, co_await create_turn_.lock());
    if (!networks_.contains(record.id)) {
        co_return Error(ErrorKind::not_found, "network " + record.name + " not found");
    }
    if (!network->members.empty()) {
        std::string names;
        for (const auto& [id, member] : network->members) {
            names += (names.empty() ? "" : ", ") + std::string("name:\"") + member.container_name +
                     "\" id:\"" + member.endpoint.short_id() + "\"";
        }
        co_return Error(ErrorKind::permission_denied,
                        "error while removing network: network " + record.name +
                            " has active endpoints (" + names + ")");
    }
    // From here on nobody finds it, and so nobody joins it.
    networks_.erase(record.id);
    by_name_.erase(record.name);
    daemon_.sandboxes->endpoints_give_up(record.id);
    auto erase = [id = record.id](WriteTxn& txn) -> Result<void> {
        TRY([[maybe_unused]] const bool was, txn.erase(Table::networks, id.str()));
        return ok;
    };
    Result<void> erased = co_await shielded(daemon_.graph_writer->update(std::move(erase)));
    if (!erased) {
        networks_.emplace(record.id, network);
        by_name_.emplace(record.name, record.id);
        co_return erased;
    }
    if (network->resolver) {
        co_await network->resolver->close();
    }
    const Result<void> removed =
        co_await shielded(driver_of(*network).network_remove(network->spec));
    if (!removed) {
        LOG_WARN("network={}: {}, ignoring: the next start removes its link",
                 record.id.short_id(),
                 removed.error().message());
    }
    event(*network, "destroy", nullptr);
    co_return ok;
}

Task<void> Networks::sweep() {
    std::vector<NetworkSpec> bridges;
    std::vector<NetworkSpec> hanging;
    for (const auto& [id, network] : networks_) {
        if (network->record.has_addresses()) {
            (network->record.hangs() ? hanging : bridges).push_back(network->spec);
        }
    }
    CO_CHECK(co_await hanging_->sweep(std::move(hanging)));
    co_return co_await bridge_->sweep(std::move(bridges));
}

Task<void> Networks::run() {
    return bridge_->run();
}

Task<void> Networks::close() {
    for (const auto& [id, network] : networks_) {
        if (network->resolver) {
            co_await network->resolver->close();
            network->resolver.reset();
        }
    }
    while (!own_resolvers_.empty()) {
        const ContainerId container = own_resolvers_.begin()->first;
        closing_.spawn(resolver_close(std::move(own_resolvers_.begin()->second.resolver)));
        own_resolvers_.erase(container);  // Its namespace keeps the redirection: it runs on.
    }
    static_cast<void>(co_await closing_.join());
    CO_CHECK(co_await hanging_->close());
    co_return co_await bridge_->close();
}

}  // namespace davit
