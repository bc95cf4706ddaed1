// Linux bridges and veth pairs, with BPF programs in front.
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "drivers/net/bridge_endpoint.h"
#include "drivers/net/bridge_host.h"
#include "drivers/net/bridge_ports.h"
#include "drivers/net/bridge_tell.h"
#include "drivers/net/bridge_trace.h"
#include "drivers/net/host_subnets.h"
#include "drivers/net/link_news.h"
#include "drivers/net/uninstall.h"
#include "reactor/async_event.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"
#include "reactor/poller.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

static_assert(networks_max == DAVIT_NETWORKS_MAX);

/// Links come and go in bursts; what they mean is looked up once per burst.
constexpr std::chrono::milliseconds follow_delay{20};

/// So many are bound faster than a worker thread is woken.
constexpr std::size_t ports_inline_max = 16;

struct Bridge {
    NetworkSpec spec;
    int index = 0;
    MacAddress mac{};
};

struct Held {
    EndpointSpec spec;
    int index = 0;
    std::uint64_t netns_cookie = 0;
    std::vector<PortHold> holds;
};

std::vector<IpAddress> gateways_of(const NetworkSpec& network) {
    return network.gateway6.unset() ? std::vector{network.gateway}
                                    : std::vector{network.gateway, network.gateway6};
}

std::vector<IpAddress> addresses_of(const EndpointSpec& endpoint) {
    return endpoint.address6.unset() ? std::vector{endpoint.address}
                                     : std::vector{endpoint.address, endpoint.address6};
}

class BridgeDriver final : public NetworkDriver {
  public:
    explicit BridgeDriver(BridgeDriverOptions options) : options_(std::move(options)) {
        // Not the numbers of an earlier daemon: flows of its endpoints are not those of ours.
        generation_ = static_cast<std::uint32_t>(unix_nanoseconds(wall_now()) / 1'000'000);
    }

    std::string_view name() const override { return "bridge"; }

    Task<void> network_make(NetworkSpec network) override;
    Task<void> network_remove(NetworkSpec network) override;
    Task<EndpointsAttached> attach(EndpointsRequest request) override;
    Task<EndpointPrepared> prepare(EndpointSpec spec, Fd netns) override;
    Task<void> adopt(EndpointsRequest request) override;
    void detach(const EndpointId& endpoint) override;
    Task<void> disconnect(EndpointId endpoint) override;
    Task<void> sweep(std::vector<NetworkSpec> known) override;
    Task<std::vector<Subnet>> subnets_taken(std::string except) override;
    std::vector<NetworkCounter> counters() const override;
    Task<TraceOutcome> trace(TraceRequest request) override;
    Task<void> resolver_set(std::uint64_t netns_cookie,
                            IpAddress resolver,
                            std::uint16_t port) override;
    void resolver_forget(std::uint64_t netns_cookie) override;
    Task<void> run() override;
    Task<void> close() override;

  private:
    Task<void> install();
    Task<void> links_follow();
    Task<EndpointsJob> job_make(EndpointsRequest& request);
    Task<EndpointsMade> links_make(EndpointsRequest& request);
    Task<EndpointsMade> links_take(EndpointsRequest& request);
    Result<void> publish(const EndpointsRequest& request, EndpointsMade& made, bool adopted);
    Result<void> publish_one(const EndpointSpec& spec,
                             EndpointMade made,
                             std::uint64_t cookie,
                             bool adopted);
    Task<void> ports_open(const std::vector<EndpointSpec>& endpoints);
    Task<void> ports_close(std::vector<PortHold> holds);

    unsigned mtu_of(const NetworkSpec& network) const {
        return network.mtu == 0 ? mtu_default_ : network.mtu;
    }

    BridgeDriverOptions options_;
    AsyncMutex install_turn_;
    AsyncMutex bridge_turn_;
    AsyncMutex follow_turn_;
    /// rtnetlink has one lock for all: more threads would only wait for it.
    AsyncMutex rtnl_turn_;
    AsyncEvent installed_;
    std::unique_ptr<NetworkPrograms> programs_;
    Fd netns_;
    FilteredLinks filtered_;
    unsigned mtu_default_ = 1500;
    std::uint32_t generation_;
    std::map<NetworkId, Bridge> bridges_;
    /// Of every bridge that was made; an index is not used twice.
    std::set<int> bridge_indices_;
    std::map<EndpointId, Held> endpoints_;
    HostSubnets subnets_;
    /// What is given up beside everything else.
    TaskGroup closing_{GroupPolicy::independent};
    /// Namespaces without an endpoint of ours, whose names are answered.
    std::set<std::uint64_t> resolved_;
};

Task<void> BridgeDriver::install() {
    CO_TRY(const auto permit, co_await install_turn_.lock());
    if (programs_) {
        co_return ok;
    }
    auto work = [options = options_]() { return host_install(options); };
    CO_TRY(HostInstalled installed, co_await offload(std::move(work)));
    programs_ = std::move(installed.programs);
    netns_ = std::move(installed.netns);
    const Result<void> followed = co_await links_follow();
    if (!followed) {
        programs_.reset();
        co_return followed;
    }
    installed_.set();
    co_return ok;
}

Task<void> BridgeDriver::links_follow() {
    CO_TRY(const auto permit, co_await follow_turn_.lock());

    struct Followed {
        HostLinks links;
        std::vector<davit_address> gone;
    };

    auto work = [options = options_,
                 programs = programs_.get(),
                 filtered = filtered_]() -> Result<Followed> {
        Followed followed;
        TRY(followed.links, host_links_follow(options, *programs, filtered));
        followed.gone = host_tell(*programs, followed.links.host, options.owner);
        return followed;
    };
    CO_TRY(Followed followed, co_await offload(std::move(work)));
    filtered_ = std::move(followed.links.filtered);
    mtu_default_ = followed.links.host.mtu_default();
    if (followed.gone.empty()) {
        co_return ok;
    }
    std::set<IpAddress> gateways;
    for (const auto& [id, bridge] : bridges_) {
        std::ranges::copy(gateways_of(bridge.spec), std::inserter(gateways, gateways.end()));
    }
    for (const davit_address& address : followed.gone) {
        if (!gateways.contains(address_from(address))) {
            programs_->host_address_delete(address);
        }
    }
    co_return ok;
}

Task<void> BridgeDriver::network_make(NetworkSpec network) {
    CO_CHECK(co_await install());
    CO_TRY(const auto permit, co_await bridge_turn_.lock());
    if (bridges_.contains(network.id)) {
        co_return ok;
    }
    auto work = [owner = options_.owner, network, mtu = mtu_of(network)]() {
        return bridge_make(owner, network, mtu);
    };
    CO_TRY(const BridgeMade made, co_await offload(std::move(work)));
    bridge_indices_.insert(made.index);
    std::uint32_t flags = network.internal ? DAVIT_NET_INTERNAL : 0;
    flags |= network.icc ? 0 : DAVIT_NET_NO_ICC;
    flags |= network.direct ? 0 : DAVIT_NET_BY_BRIDGE;
    flags |= network.masquerade ? DAVIT_NET_MASQUERADE : 0;
    const net_value value{.gateway4 = bpf_address(network.gateway),
                          .flags = flags,
                          .bridge_ifindex = static_cast<std::uint32_t>(made.index)};
    CO_CHECK(programs_->net_set(network.number, value, bpf_address(network.gateway6)));
    for (const IpAddress& gateway : gateways_of(network)) {
        CO_CHECK(programs_->host_address_set(bpf_address(gateway), value.bridge_ifindex));
    }
    bridges_.insert_or_assign(network.id, Bridge{network, made.index, made.mac});
    co_return ok;
}

Task<void> BridgeDriver::network_remove(NetworkSpec network) {
    CO_TRY(const auto permit, co_await bridge_turn_.lock());
    const auto bridge = bridges_.find(network.id);
    if (bridge == bridges_.end()) {
        co_return ok;
    }
    auto work = [index = bridge->second.index]() { return endpoint_delete(index); };
    CO_CHECK(co_await offload(std::move(work)));
    for (const IpAddress& gateway : gateways_of(network)) {
        programs_->host_address_delete(bpf_address(gateway));
    }
    bridges_.erase(bridge);
    co_return ok;
}

Task<EndpointsJob> BridgeDriver::job_make(EndpointsRequest& request) {
    CO_CHECK(co_await install());
    EndpointsJob job;
    for (const EndpointSpec& spec : request.endpoints) {
        CO_CHECK(co_await network_make(spec.network));
        const auto bridge = bridges_.find(spec.network.id);
        if (bridge == bridges_.end()) {
            co_return Error(ErrorKind::not_found,
                            "network " + spec.network.id.str() + " not found");
        }
        job.targets.push_back({spec, bridge->second.index, mtu_of(spec.network)});
    }
    job.owner = options_.owner;
    job.host_netns = netns_.get();
    job.from_container_fd = programs_->from_container_fd();
    job.pidfd = request.pidfd;
    job.netns = std::move(request.netns);
    co_return std::move(job);
}

Result<void> BridgeDriver::publish_one(const EndpointSpec& spec,
                                       EndpointMade made,
                                       std::uint64_t cookie,
                                       bool adopted) {
    const auto bridge = bridges_.find(spec.network.id);
    if (bridge == bridges_.end()) {
        return Error(ErrorKind::not_found, "network " + spec.network.id.str() + " not found");
    }
    const davit_address address = bpf_address(spec.address);
    endpoint_value value{};
    value.ifindex = static_cast<std::uint32_t>(made.index);
    value.net = spec.network.number;
    value.generation = ++generation_;
    if (const auto before = adopted ? programs_->endpoint_get(address) : std::nullopt) {
        value.generation = before->generation;  // Its connections go on.
    }
    std::ranges::copy(spec.mac, std::begin(value.mac));
    std::ranges::copy(bridge->second.mac, std::begin(value.gateway_mac));
    // Noted first: what fails after is taken back by detach().
    Held& held = endpoints_[spec.id];
    held = Held{spec, made.index, cookie, std::move(made.holds)};
    for (const IpAddress& one : addresses_of(spec)) {
        TRY_VOID(programs_->endpoint_set(bpf_address(one), value));
    }
    return ok;
}

/// The last step: from here on they are reached.
Task<void> BridgeDriver::ports_open(const std::vector<EndpointSpec>& endpoints) {
    for (const EndpointSpec& spec : endpoints) {
        const auto held = endpoints_.find(spec.id);
        if (held == endpoints_.end()) {
            continue;
        }
        std::vector<PortEntry> entries = port_entries(spec, held->second.holds);
        if (entries.size() <= ports_at_once_max) {
            CO_CHECK(ports_publish(*programs_, entries));
            continue;
        }
        auto work = [programs = programs_.get(), entries = std::move(entries)]() {
            return ports_publish(*programs, entries);
        };
        CO_CHECK(co_await offload(std::move(work)));
    }
    co_return ok;
}

/// Of many ports: who wants one of them next waits until they are free.
Task<void> BridgeDriver::ports_close(std::vector<PortHold> holds) {
    CO_TRY(const auto permit, co_await rtnl_turn_.lock());
    auto work = [programs = programs_.get(), holds = std::move(holds)]() mutable -> Result<void> {
        ports_unpublish(*programs, std::move(holds));
        return ok;
    };
    co_return co_await offload(std::move(work));
}

Result<void> BridgeDriver::publish(const EndpointsRequest& request,
                                   EndpointsMade& made,
                                   bool adopted) {
    if (!request.resolver.unset()) {
        netns_value resolver{};
        resolver.resolver = bpf_address(request.resolver);
        resolver.port_be = htons(request.resolver_port);
        TRY_VOID(programs_->netns_set(made.netns_cookie, resolver));
    }
    for (std::size_t i = 0; i < request.endpoints.size(); ++i) {
        TRY_VOID(publish_one(
            request.endpoints[i], std::move(made.endpoints[i]), made.netns_cookie, adopted));
    }
    return ok;
}

Task<EndpointsMade> BridgeDriver::links_make(EndpointsRequest& request) {
    CO_TRY(EndpointsJob job, co_await job_make(request));
    CO_TRY(const auto permit, co_await rtnl_turn_.lock());
    auto work = [job = std::move(job)]() { return endpoints_make(job); };
    co_return co_await offload(std::move(work));
}

/// The links that wait, and ports.
Task<EndpointsMade> BridgeDriver::links_take(EndpointsRequest& request) {
    const EndpointSpec& spec = request.endpoints.front();
    const bool fits = programs_ && bridges_.contains(spec.network.id) &&
                      request.prepared->mtu == mtu_of(spec.network);
    if (!fits) {
        co_return Error(ErrorKind::unavailable, "the links that waited are not as they must be");
    }
    if (!spec.ports.empty() && closing_.running() > 0) {
        // One of those that are being given up may be among them.
        CO_TRY(const auto permit, co_await rtnl_turn_.lock());
    }
    EndpointsMade made;
    made.netns = std::move(request.netns);
    made.netns_cookie = request.prepared->netns_cookie;
    EndpointMade& endpoint = made.endpoints.emplace_back();
    endpoint.index = request.prepared->index;
    const bool few = spec.ports.size() <= ports_inline_max &&
                     std::ranges::all_of(spec.ports, [](const PortSpec& port) {
                         return port.host_first == port.host_last;
                     });
    if (few) {
        CO_TRY(endpoint.holds, ports_hold(spec.ports));
    } else {
        auto work = [ports = spec.ports]() { return ports_hold(ports); };
        CO_TRY(endpoint.holds, co_await offload(std::move(work)));
    }
    co_return std::move(made);
}

Task<EndpointPrepared> BridgeDriver::prepare(EndpointSpec spec, Fd netns) {
    EndpointsRequest request;
    spec.ports.clear();
    const NetworkSpec network = spec.network;
    request.endpoints.push_back(std::move(spec));
    request.netns = std::move(netns);
    CO_TRY(const EndpointsMade made, co_await links_make(request));
    EndpointPrepared prepared;
    prepared.index = made.endpoints.front().index;
    prepared.netns_cookie = made.netns_cookie;
    prepared.mtu = mtu_of(network);
    co_return prepared;
}

Task<EndpointsAttached> BridgeDriver::attach(EndpointsRequest request) {
    Result<EndpointsMade> ready = Error(ErrorKind::internal, "not asked");
    if (request.prepared) {
        ready = co_await links_take(request);
    } else {
        ready = co_await links_make(request);
    }
    CO_TRY(EndpointsMade made, std::move(ready));
    Result<void> published = publish(request, made, false);
    if (published) {
        published = co_await ports_open(request.endpoints);
    }
    if (!published) {
        for (const EndpointSpec& spec : request.endpoints) {
            if (request.pidfd >= 0) {
                static_cast<void>(co_await disconnect(spec.id));
            } else {
                detach(spec.id);
            }
        }
        co_return published.error();
    }
    EndpointsAttached attached;
    for (const EndpointSpec& spec : request.endpoints) {
        std::vector<PortSpec>& ports = attached.ports.emplace_back();
        for (const PortHold& hold : endpoints_[spec.id].holds) {
            ports.push_back(hold.port);
        }
    }
    attached.netns = std::move(made.netns);
    attached.netns_cookie = made.netns_cookie;
    co_return std::move(attached);
}

Task<void> BridgeDriver::adopt(EndpointsRequest request) {
    CO_TRY(EndpointsJob job, co_await job_make(request));
    CO_TRY(const auto permit, co_await rtnl_turn_.lock());
    job.adopt = true;
    NetworkPrograms* programs = programs_.get();
    job.hooks.before = [programs](std::uint64_t cookie) {
        static_cast<void>(programs->holder_allow(cookie));
    };
    job.hooks.after = [programs](std::uint64_t cookie) { programs->holder_forget(cookie); };
    auto work = [job = std::move(job)]() { return endpoints_make(job); };
    CO_TRY(EndpointsMade made, co_await offload(std::move(work)));
    CO_CHECK(publish(request, made, true));
    co_return co_await ports_open(request.endpoints);
}

Task<void> BridgeDriver::resolver_set(std::uint64_t netns_cookie,
                                      IpAddress resolver,
                                      std::uint16_t port) {
    CO_CHECK(co_await install());
    netns_value value{};
    value.resolver = bpf_address(resolver);
    value.port_be = htons(port);
    CO_CHECK(programs_->netns_set(netns_cookie, value));
    resolved_.insert(netns_cookie);
    co_return ok;
}

void BridgeDriver::resolver_forget(std::uint64_t netns_cookie) {
    if (resolved_.erase(netns_cookie) > 0) {
        programs_->netns_delete(netns_cookie);
    }
}

void BridgeDriver::detach(const EndpointId& endpoint) {
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end()) {
        return;
    }
    Held held = std::move(found->second);
    endpoints_.erase(found);
    if (held.holds.size() <= ports_at_once_max) {
        ports_unpublish(*programs_, std::move(held.holds));
    } else {
        closing_.spawn(shielded(ports_close(std::move(held.holds))));
    }
    for (const IpAddress& address : addresses_of(held.spec)) {
        programs_->endpoint_delete(bpf_address(address));
    }
    const bool others = std::ranges::any_of(endpoints_, [&](const auto& item) {
        return item.second.netns_cookie == held.netns_cookie;
    });
    if (!others) {
        programs_->netns_delete(held.netns_cookie);
    }
}

Task<void> BridgeDriver::disconnect(EndpointId endpoint) {
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end()) {
        co_return ok;
    }
    const int index = found->second.index;
    detach(endpoint);
    auto work = [index]() { return endpoint_delete(index); };
    co_return co_await offload(std::move(work));
}

Task<void> BridgeDriver::sweep(std::vector<NetworkSpec> known) {
    std::set<std::string> aliases;
    for (const NetworkSpec& network : known) {
        aliases.insert(bridge_alias(options_.owner, network.id));
    }
    auto work = [owner = options_.owner, aliases = std::move(aliases)]() -> Result<void> {
        TRY_VOID(network_links_delete(bridge_alias_prefix(owner), aliases));
        return ok;
    };
    CO_CHECK(co_await offload(std::move(work)));
    if (!programs_ && !host_is_installed(options_)) {
        co_return ok;
    }
    CO_CHECK(co_await install());
    std::set<IpAddress> addresses;
    std::set<std::string> ports;
    for (const auto& [id, held] : endpoints_) {
        std::ranges::copy(addresses_of(held.spec), std::inserter(addresses, addresses.end()));
        for (const PortHold& hold : held.holds) {
            ports.insert(port_key_bytes(hold.port));
        }
    }
    for (const port_map_key& key : programs_->ports()) {
        if (!ports.contains(port_key_bytes(key))) {
            programs_->port_delete(key);
        }
    }
    for (const davit_address& address : programs_->endpoints()) {
        if (!addresses.contains(address_from(address))) {
            programs_->endpoint_delete(address);
        }
    }
    for (const std::uint64_t cookie : programs_->namespaces()) {
        if (!resolved_.contains(cookie) && std::ranges::none_of(endpoints_, [&](const auto& item) {
                return item.second.netns_cookie == cookie;
            })) {
            programs_->netns_delete(cookie);
        }
    }
    co_return ok;
}

Task<std::vector<Subnet>> BridgeDriver::subnets_taken(std::string except) {
    CO_TRY(const bool stale, subnets_.stale(bridge_indices_));
    if (stale) {
        auto work = []() -> Result<std::vector<LinkSubnet>> {
            TRY(NetlinkSocket socket, NetlinkSocket::open());
            return subnets_read(socket);
        };
        CO_TRY(std::vector<LinkSubnet> read, co_await offload(std::move(work)));
        subnets_.put(std::move(read));
    }
    const unsigned index = except.empty() ? 0 : ::if_nametoindex(except.c_str());
    co_return subnets_.others(bridge_indices_, static_cast<int>(index));
}

std::vector<NetworkCounter> BridgeDriver::counters() const {
    return counters_of(programs_ ? programs_->stats() : NetworkPrograms::stats_none());
}

Task<TraceOutcome> BridgeDriver::trace(TraceRequest request) {
    if (!programs_) {
        co_return Error(ErrorKind::not_found,
                        "no container has used a bridge network yet: nothing of davit's is in any "
                        "packet's way");
    }
    std::optional<TraceSource> source;
    if (!request.endpoint.empty()) {
        const auto found = endpoints_.find(request.endpoint);
        if (found == endpoints_.end()) {
            co_return Error(ErrorKind::not_found, "the container has left the network");
        }
        source.emplace(TraceSource{found->second.spec, found->second.index});
    }
    NetworkPrograms* programs = programs_.get();
    auto work = [programs, request, source]() {
        return trace_run(*programs, request, source ? &*source : nullptr);
    };
    co_return co_await offload(std::move(work));
}

Task<void> BridgeDriver::run() {
    CO_CHECK(co_await installed_.wait());
    CO_TRY(const Fd events, link_news_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR));
    CO_TRY(Poller poller, Poller::make(events.get()));
    LinkNews news{.matters = true};
    for (;;) {
        CO_CHECK(co_await sleep_for(follow_delay));
        link_news_drain(events.get(), link_alias_prefix(options_.owner), news);
        if (news.matters || !std::ranges::all_of(news.addressed, [this](int index) {
                return bridge_indices_.contains(index);
            })) {
            const Result<void> followed = co_await links_follow();
            if (!followed && followed.error().kind() == ErrorKind::cancelled) {
                co_return followed;
            }
            if (!followed) {
                LOG_WARN("network: follow the host's links: {}, ignoring",
                         followed.error().message());
            }
        }
        news = LinkNews();
        CO_CHECK(co_await poller.readable());
    }
}

Task<void> BridgeDriver::close() {
    static_cast<void>(co_await shielded(closing_.join()));
    if (!programs_ || !endpoints_.empty() || !resolved_.empty()) {
        co_return ok;
    }
    auto work = [options = options_]() -> Result<void> {
        TRY_VOID(network_uninstall(options));
        return ok;
    };
    programs_.reset();
    bridges_.clear();
    co_return co_await offload(std::move(work));
}

}  // namespace

std::unique_ptr<NetworkDriver> bridge_driver_make(BridgeDriverOptions options) {
    return std::make_unique<BridgeDriver>(std::move(options));
}

}  // namespace davit
