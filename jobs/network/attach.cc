// A container's networks at its start and its end.
#include <netinet/in.h>

#include <algorithm>
#include <tuple>

#include "jobs/container/ports.h"
#include "jobs/daemon.h"
#include "jobs/network/networks_plan.h"
#include "jobs/sandbox_pool.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

constexpr std::size_t no_index = SIZE_MAX;

/// What a container is called on a network: its name, what it was given, its short id.
std::vector<std::string> names_of(const Container& container, const EndpointSettings& settings) {
    std::vector<std::string> names{container.record.name.substr(1)};
    const auto add = [&](const std::string& name) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) {
            names.push_back(name);
        }
    };
    std::ranges::for_each(settings.aliases, add);
    add(container.id().short_id());
    add(container.record.config.hostname);
    return names;
}

/// wanted: "" for any.
Result<IpAddress> address_take(const NetworkRecord& record,
                               AddressPool& pool,
                               bool subnet_asked,
                               const std::string& wanted) {
    if (wanted.empty()) {
        return pool.allocate();
    }
    if (record.is_builtin()) {
        return Error(ErrorKind::invalid_argument,
                     "user specified IP address is supported on user defined networks only");
    }
    if (!subnet_asked) {
        return Error(ErrorKind::invalid_argument,
                     "user specified IP address is supported only when connecting to "
                     "networks with user configured subnets");
    }
    TRY(const IpAddress address, IpAddress::parse(wanted));
    TRY_VOID(pool.take(address));
    return address;
}

/// What was asked for; "" for none.
Result<std::string> mac_choose(const NetworkRecord& record,
                               const Container& container,
                               const EndpointSettings& settings) {
    const std::string& wanted = settings.mac_address_wanted.empty()
                                    ? container.record.config.mac_address
                                    : settings.mac_address_wanted;
    if (!wanted.empty() && record.driver == "ipvlan") {
        return Error(ErrorKind::unsupported,
                     "ipvlan interfaces do not support custom mac address assignment");
    }
    return wanted;
}

}  // namespace

std::string host_names(const ContainerConfig& config) {
    return config.domainname.empty()
               ? config.hostname
               : config.hostname + "." + config.domainname + " " + config.hostname;
}

bool shares(const std::string& mode) {
    return mode.starts_with("container:");
}

Result<Sandbox> Networks::share(const Container& container) const {
    const std::string name = container.record.host_config.network_mode.substr(10);
    TRY(const auto other, daemon_.containers.find(name));
    if (other.get() == &container) {
        return Error(ErrorKind::invalid_argument,
                     "cannot join own network namespace: " + container.id().str());
    }
    if (!other->run) {
        return Error(
            ErrorKind::conflict,
            "cannot join network namespace of a non running container: " + other->id().str());
    }
    Sandbox sandbox;
    TRY(sandbox.netns, Fd::duplicate(other->run->init.pidfd()));
    sandbox.files_directory = other->record.files_directory;
    return sandbox;
}

/// Who asks now comes before those who may come.
Result<void> Networks::addresses_choose(Network& network,
                                        NetworkMember& member,
                                        const EndpointSettings& settings) {
    const Result<void> taken = addresses_take(network, member, settings);
    if (!taken && daemon_.sandboxes->endpoints_give_up(network.record.id)) {
        return addresses_take(network, member, settings);
    }
    return taken;
}

/// Both, or none.
Result<void> Networks::addresses_take(Network& network,
                                      NetworkMember& member,
                                      const EndpointSettings& settings) {
    const EndpointIpam wanted = settings.ipam.value_or(EndpointIpam());
    const NetworkRecord& record = network.record;
    TRY(member.address,
        address_take(record, network.pool, record.subnet_asked, wanted.ipv4_address));
    member.prefix = network.spec.subnet.prefix();
    if (!record.enable_ipv6 && wanted.ipv6_address.empty()) {
        return ok;
    }
    Result<IpAddress> six =
        address_take(record, network.pool6, record.subnet6_asked, wanted.ipv6_address);
    if (!six) {
        network.pool.release(member.address);
        return std::move(six).error();
    }
    member.address6 = *six;
    member.prefix6 = network.spec.subnet6.prefix();
    return ok;
}

Result<void> Networks::member_add(Network& network,
                                  Container& container,
                                  EndpointSettings& settings,
                                  ReadyEndpoint ready) {
    NetworkMember member;
    member.endpoint = ready ? ready.id() : EndpointId::generate();
    member.container = container.id();
    member.container_name = container.record.name.substr(1);
    if (network.record.has_addresses()) {
        TRY(member.mac, mac_choose(network.record, container, settings));
        if (ready) {
            member.address = ready.address();
            member.prefix = network.spec.subnet.prefix();
            member.address6 = ready.address6();
            member.prefix6 = member.address6.unset() ? 0 : network.spec.subnet6.prefix();
            ready.used();
        } else {
            TRY_VOID(addresses_choose(network, member, settings));
        }
        if (member.mac.empty() && network.record.driver != "ipvlan") {
            member.mac = mac_text(mac_of(member.address));
        }
    }
    if (network.record.is_user_defined()) {
        member.names = names_of(container, settings);
    }
    addresses_note(member);
    settings.network_id = network.record.id.str();
    settings.endpoint_id = member.endpoint.str();
    settings.mac_address = member.mac;
    settings.ip_address = member.address.str();
    settings.ip_prefix_len = member.prefix;
    const bool leads_out = network.record.leads_out();
    settings.gateway = leads_out ? network.spec.gateway.str() : "";
    settings.ipv6_address = member.address6.str();
    settings.ipv6_prefix_len = member.prefix6;
    settings.ipv6_gateway = leads_out ? network.spec.gateway6.str() : "";
    settings.dns_names = member.names;
    network.member_put(std::move(member));
    return ok;
}

void Networks::member_drop(Network& network,
                           const Container& container,
                           EndpointSettings& settings) {
    const auto member = network.members.find(container.id());
    if (member != network.members.end()) {
        network.pool.release(member->second.address);
        network.pool6.release(member->second.address6);
        by_address_.erase(member->second.address);
        by_address_.erase(member->second.address6);
        network.member_erase(container.id());
    }
    settings.released();
}

Result<Networks::Plan> Networks::plan_make(Container& container) {
    ContainerRecord& record = container.record;
    Plan plan;
    for (auto& [name, settings] : record.networks) {
        TRY(std::shared_ptr<Network> network, find(name));
        plan.items.push_back({std::move(network), &settings});
    }
    // The network it was made with first: that is eth0.
    const auto main = record.networks.find(record.host_config.network_mode);
    std::ranges::stable_sort(plan.items, [&](const auto& a, const auto& b) {
        const auto is_main = [&](const Plan::Item& item) {
            return main != record.networks.end() && item.settings == &main->second;
        };
        return is_main(a) && !is_main(b);
    });
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
        const Network& network = *plan.items[i].network;
        if (!network.record.leads_out()) {
            continue;
        }
        const auto better = [&](std::size_t than) {
            if (than == no_index) {
                return true;
            }
            const auto& [a, b] = std::tie(plan.items[i], plan.items[than]);
            return a.settings->gw_priority != b.settings->gw_priority
                       ? a.settings->gw_priority > b.settings->gw_priority
                       : a.network->record.name < b.network->record.name;
        };
        if (better(plan.gateway)) {
            plan.gateway = i;
        }
        if (network.record.enable_ipv6 && better(plan.gateway6)) {
            plan.gateway6 = i;
        }
    }
    return plan;
}

Result<EndpointSpec> endpoint_spec(const Network& network,
                                   const ContainerId& container,
                                   const std::string& interface) {
    const NetworkMember& member = network.members.at(container);
    EndpointSpec spec;
    spec.network = network.spec;
    spec.id = member.endpoint;
    spec.address = member.address;
    spec.address6 = member.address6;
    if (!member.mac.empty()) {
        TRY(spec.mac, mac_parse(member.mac));
    }
    spec.interface = interface;
    return spec;
}

namespace {

PortHosts port_hosts(const Network& network) {
    PortHosts hosts;
    hosts.ipv6 = network.record.enable_ipv6;
    const auto option = network.record.options.find(option_binding);
    if (option != network.record.options.end()) {
        if (const auto address = IpAddress::parse(option->second)) {
            hosts.binding = *address;
        }
    }
    return hosts;
}

}  // namespace

Result<void> Networks::check(const ContainerRecord& record) const {
    for (const auto& [name, settings] : record.networks) {
        TRY([[maybe_unused]] const auto network, find(name));
    }
    return ok;
}

Result<void> Networks::choose(ContainerRecord& record,
                              std::map<std::string, EndpointSettings> endpoints) const {
    const auto name_of = [this](const std::string& text) {
        if (text.empty() || text == "default") {
            return std::string("bridge");
        }
        const auto network = find(text);
        return network ? (*network)->record.name : text;
    };
    const std::string& mode = record.host_config.network_mode;
    if (shares(mode)) {
        return ok;
    }
    const std::string main = name_of(mode);
    record.networks[main];
    for (auto& [text, settings] : endpoints) {
        const std::string name = name_of(text);
        const auto network = find(name);
        const bool builtin = network ? (*network)->record.is_builtin() : false;
        if (!settings.aliases.empty() && builtin) {
            return Error(ErrorKind::invalid_argument,
                         "network-scoped aliases are only supported for user-defined networks");
        }
        if (name != main && (main == "host" || name == "host")) {
            return Error(
                ErrorKind::invalid_argument,
                "container cannot be disconnected from host network or connected to host network");
        }
        if (name != main && (main == "none" || name == "none")) {
            return Error(ErrorKind::invalid_argument,
                         "container cannot be connected to multiple networks with one of the "
                         "networks in private (none) mode");
        }
        record.networks[name] = std::move(settings);
    }
    return ok;
}

std::vector<std::string> Networks::warnings(const ContainerRecord& record) const {
    const HostConfig& host = record.host_config;
    const std::string& mode = host.network_mode;
    const bool publishes = !host.port_bindings.empty() || host.publish_all_ports;
    if (!publishes || mode == "host" || shares(mode)) {
        return {};  // These are warned of, or refused, before.
    }
    std::string names;
    for (const auto& [name, settings] : record.networks) {
        const auto network = find(name);
        if (!network || ((*network)->record.leads_out() && !(*network)->record.hangs())) {
            return {};
        }
        const NetworkRecord& found = (*network)->record;
        const char* kind = found.internal ? "internal" : found.driver.c_str();
        names += (names.empty() ? "" : ", ") +
                 (found.is_builtin() ? name : std::string(kind) + " network " + name);
    }
    return {"Published ports are discarded when using " + names};
}

Task<Sandbox> Networks::attach(Container& container, Fd netns, ReadyEndpoint ready) {
    ContainerRecord& record = container.record;
    const std::string& mode = record.host_config.network_mode;
    if (shares(mode)) {
        co_return share(container);
    }
    CO_TRY(Plan plan, plan_make(container));
    if (ready) {
        plan.request.prepared = ready.links;
    }
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
        auto& [network, settings] = plan.items[i];
        CO_CHECK(co_await subnet_settle(*network));
        CO_CHECK(member_add(*network, container, *settings, std::exchange(ready, {})));
        if (!network->record.has_addresses()) {
            continue;
        }
        settings->interface =
            "eth" + std::to_string(plan.request.endpoints.size() + plan.hanging.size());
        CO_TRY(EndpointSpec spec, endpoint_spec(*network, container.id(), settings->interface));
        spec.default_route = i == plan.gateway;
        spec.default_route6 = i == plan.gateway6;
        if (i == plan.gateway) {
            CO_TRY(spec.ports,
                   ports_wanted(
                       record.host_config, record.config.exposed_ports, port_hosts(*network)));
        }
        if (network->record.hangs() && !spec.ports.empty()) {
            // As Docker: its clients reach the container itself.
            LOG_WARN("container={}: {} network {} publishes no ports, ignoring",
                     record.id.short_id(),
                     network->record.driver,
                     network->record.name);
            spec.ports.clear();
        }
        (network->record.hangs() ? plan.hanging : plan.request.endpoints)
            .push_back(std::move(spec));
    }
    Sandbox sandbox;
    if (plan.request.endpoints.empty() && plan.hanging.empty()) {
        for (const Plan::Item& item : plan.items) {
            event(*item.network, "connect", &container);
        }
        co_return std::move(sandbox);
    }
    CO_CHECK(co_await resolver_choose(plan));
    plan.request.netns = std::move(netns);
    Result<EndpointsAttached> attached = co_await drivers_attach(plan);
    if (!attached) {
        co_return std::move(attached).error().context("failed to set up container networking");
    }
    sandbox.netns = std::move(attached->netns);
    CO_TRY(sandbox.resolver, co_await resolver_keep(container, sandbox.netns.get()));
    sandbox.own = true;
    for (const std::vector<PortSpec>& ports : attached->ports) {
        record.published.merge(ports_published(ports));
    }
    hosts_fill(sandbox, container);
    for (const Plan::Item& item : plan.items) {
        event(*item.network, "connect", &container);
    }
    co_return std::move(sandbox);
}

/// Its own names, and those of the containers it is linked to.
void Networks::hosts_fill(Sandbox& sandbox, const Container& container) const {
    const std::string names = host_names(container.record.config);
    for (const auto& [name, settings] : container.record.networks) {
        if (!settings.ip_address.empty()) {
            sandbox.hosts.emplace_back(settings.ip_address, names);
        }
        if (!settings.ipv6_address.empty()) {
            sandbox.hosts.emplace_back(settings.ipv6_address, names);
        }
    }
    if (const auto bridge = find("bridge")) {
        sandbox.host_gateway = (*bridge)->spec.gateway.str();
    }
}

void Networks::release(Container& container) {
    ContainerRecord& record = container.record;
    record.published.clear();
    resolver_drop(record.id);
    for (auto& [name, settings] : record.networks) {
        const auto id = NetworkId::parse(settings.network_id);
        const auto network = id ? networks_.find(*id) : networks_.end();
        if (network == networks_.end() || settings.endpoint_id.empty()) {
            settings.released();
            continue;
        }
        if (const auto endpoint = EndpointId::parse(settings.endpoint_id)) {
            driver_of(*network->second).detach(*endpoint);
        }
        event(*network->second, "disconnect", &container);
        member_drop(*network->second, container, settings);
    }
}

void Networks::renamed(Container& container) {
    for (auto& [name, settings] : container.record.networks) {
        const auto id = NetworkId::parse(settings.network_id);
        const auto network = id ? networks_.find(*id) : networks_.end();
        if (network == networks_.end()) {
            continue;
        }
        const auto member = network->second->members.find(container.id());
        if (member == network->second->members.end()) {
            continue;
        }
        NetworkMember changed = member->second;
        changed.container_name = container.record.name.substr(1);
        if (network->second->record.is_user_defined()) {
            changed.names = names_of(container, settings);
            settings.dns_names = changed.names;
        }
        network->second->member_put(std::move(changed));
    }
}

Task<void> Networks::adopt(Container& container, const PidRef& process) {
    ContainerRecord& record = container.record;
    if (shares(record.host_config.network_mode)) {
        co_return ok;
    }
    EndpointsRequest request;
    request.pidfd = process.pidfd();
    CO_TRY(Plan plan, plan_make(container));
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
        auto& [network, settings] = plan.items[i];
        NetworkMember member;
        CO_TRY(member.endpoint, EndpointId::parse(settings->endpoint_id));
        member.container = container.id();
        member.container_name = record.name.substr(1);
        member.mac = settings->mac_address;
        member.prefix = settings->ip_prefix_len;
        member.prefix6 = settings->ipv6_prefix_len;
        member.names = settings->dns_names;
        if (!network->record.has_addresses()) {
            network->member_put(std::move(member));
            continue;
        }
        CO_TRY(member.address, IpAddress::parse(settings->ip_address));
        CO_CHECK(network->pool.take(member.address));
        if (!settings->ipv6_address.empty()) {
            CO_TRY(member.address6, IpAddress::parse(settings->ipv6_address));
            CO_CHECK(network->pool6.take(member.address6));
        }
        addresses_note(member);
        network->member_put(std::move(member));
        CO_TRY(EndpointSpec spec, endpoint_spec(*network, container.id(), settings->interface));
        if (i == plan.gateway && !network->record.hangs()) {
            CO_TRY(spec.ports, ports_of(record.published));
        }
        (network->record.hangs() ? plan.hanging : request.endpoints).push_back(std::move(spec));
    }
    if (request.endpoints.empty() && plan.hanging.empty()) {
        co_return ok;
    }
    plan.request = std::move(request);
    CO_CHECK(co_await resolver_choose(plan));
    CO_CHECK(co_await drivers_adopt(plan));
    CO_TRY([[maybe_unused]] const bool own, co_await resolver_keep(container, process.pidfd()));
    co_return ok;
}

/// User networks answer names; the default bridge, as with Docker, does not.
Task<void> Networks::resolver_choose(Plan& plan) {
    for (const Plan::Item& item : plan.items) {
        Network& network = *item.network;
        if (network.record.driver != "bridge" || network.record.is_builtin()) {
            continue;
        }
        CO_CHECK(co_await bridge_->network_make(network.spec));
        if (!network.resolver) {
            CO_TRY(network.resolver, NetworkResolver::open(network.spec.gateway, *this));
        }
        if (plan.request.resolver_port == 0) {
            plan.request.resolver = network.spec.gateway;
            plan.request.resolver_port = network.resolver->port();
        }
    }
    co_return ok;
}

}  // namespace davit
