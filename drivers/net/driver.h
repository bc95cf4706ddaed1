#pragma once
/// NetworkDriver: connects containers to networks that the kernel carries.
///
/// The networks themselves (names, addresses, who is in them) are the engine's; a driver is told
/// what to make, and keeps only what the kernel gave for it.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/net/address.h"
#include "drivers/net/trace_frame.h"
#include "reactor/base/fd.h"
#include "reactor/base/ids.h"
#include "reactor/task.h"

namespace davit {

/// NetworkSpec::number is below: what the programs' tables hold.
inline constexpr std::uint32_t networks_max = 8192;

struct NetworkSpec {
    NetworkId id;
    /// Small and unique among the networks there are: the index in the driver's tables.
    std::uint32_t number = 0;
    /// "bridge", "macvlan", "ipvlan".
    std::string kind = "bridge";
    /// Name of the bridge, or of what the containers' links hang on.
    std::string interface;
    /// macvlan, ipvlan: that leads nowhere, and is davit's own.
    bool isolated = false;
    /// Theirs, as the driver's options name them; "" for the default.
    std::string mode;
    std::string flag;
    Subnet subnet;
    IpAddress gateway;
    /// Unset: without IPv6.
    Subnet subnet6;
    IpAddress gateway6;
    bool internal = false;
    /// Its containers may reach one another.
    bool icc = true;
    /// Packets between its containers pass the bridge by; else they go over it, as tcpdump wants.
    bool direct = true;
    bool masquerade = true;
    /// 0: that of the host's default route.
    unsigned mtu = 0;
};

/// A port to publish, or one that is.
struct PortSpec {
    /// 0.0.0.0: every IPv4 address of the host; unset (::): every IPv6 one.
    IpAddress host;
    /// The host's port is one of these; 0 and 0: any free one.
    std::uint16_t host_first = 0;
    std::uint16_t host_last = 0;
    std::uint16_t container_port = 0;
    /// IPPROTO_TCP, IPPROTO_UDP.
    std::uint8_t protocol = 0;

    auto operator<=>(const PortSpec&) const = default;
};

struct EndpointSpec {
    NetworkSpec network;
    EndpointId id;
    IpAddress address;
    /// Set if the network has IPv6.
    IpAddress address6;
    MacAddress mac{};
    /// Its name in the container: "eth0".
    std::string interface;
    bool default_route = false;
    bool default_route6 = false;
    std::vector<PortSpec> ports;
};

/// Links that NetworkDriver::prepare() made.
struct EndpointPrepared {
    /// The host's end.
    int index = 0;
    std::uint64_t netns_cookie = 0;
    unsigned mtu = 0;
};

struct EndpointsRequest {
    std::vector<EndpointSpec> endpoints;
    /// A process in the namespace to attach to; -1: a new namespace is made, or `netns` is one.
    int pidfd = -1;
    Fd netns = {};
    /// What prepare() made in `netns` of the endpoint, which then is the only one.
    std::optional<EndpointPrepared> prepared = {};
    /// What 127.0.0.11:53 is inside; unset: nothing.
    IpAddress resolver;
    std::uint16_t resolver_port = 0;
};

struct EndpointsAttached {
    /// Keeps the namespace alive until a process is in it.
    Fd netns;
    std::uint64_t netns_cookie = 0;
    /// Of each endpoint, its ports with the number each one got: host_first.
    std::vector<std::vector<PortSpec>> ports;
};

/// What became of packets, since the programs' maps were made.
struct NetworkCounter {
    std::string name;
    /// For people: what it counts, or why these were dropped.
    std::string meaning;
    bool dropped = false;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

/// The first packet of a connection that nobody makes.
struct TraceRequest {
    /// Of a container that sends it; else unset.
    EndpointId endpoint;
    /// Who sends it outside; unset, without an endpoint: this host.
    IpAddress from;
    IpAddress to;
    std::uint16_t port = 0;
    /// IPPROTO_TCP, IPPROTO_UDP.
    std::uint8_t protocol = 0;
};

enum class TraceWay : std::uint8_t {
    dropped,
    passed,     // To the host's stack or the bridge, as it is.
    container,  // Into a container.
    outside,    // Out of an uplink.
    host,       // Back to a socket of the host's.
};

struct TraceOutcome {
    TraceTuple packet;
    /// How it leaves.
    TraceTuple becomes;
    /// Links of the host.
    std::string enters_by;
    std::string leaves_by;
    /// The BPF program that decided.
    std::string program;
    TraceWay way = TraceWay::passed;
    /// The counter that it moved; "" for none, or if others moved as well.
    std::string reason;
    std::string meaning;
    /// From this host: what a socket that connects there is led to instead, without this packet.
    std::optional<TraceTuple> translated;
};

class NetworkDriver {
  public:
    NetworkDriver() = default;
    NetworkDriver(const NetworkDriver&) = delete;
    NetworkDriver& operator=(const NetworkDriver&) = delete;
    virtual ~NetworkDriver() = default;

    virtual std::string_view name() const = 0;

    /// Make what the network needs on the host; there already is fine.
    /// Errors: unsupported (the kernel has not what it takes); conflict (a link of this name that
    /// is
    ///         not davit's).
    virtual Task<void> network_make(NetworkSpec network) = 0;

    /// Give it up. Missing is fine.
    virtual Task<void> network_remove(NetworkSpec network) = 0;

    /// Connect a new namespace, or one that is in use, and publish ports. After an error nothing
    /// is left. Errors: as network_make(); internal "Bind for ADDRESS:PORT failed: port is already
    /// allocated"; unavailable (what was prepared does not fit any more).
    virtual Task<EndpointsAttached> attach(EndpointsRequest request) = 0;

    /// Make the links of an endpoint ahead, in a namespace without any; its ports are not looked
    /// at. No packet passes them before attach() is asked for the same endpoint. They go with the
    /// namespace. Errors: as network_make(); unsupported (a driver whose links cannot wait).
    virtual Task<EndpointPrepared> prepare(EndpointSpec spec, Fd netns);

    /// What attach() had done before this daemon's life: keep it, and hold its ports again; one
    /// that is somebody else's by now stays published all the same.
    /// Errors: not_found (the namespace has ended, or has no such interface).
    virtual Task<void> adopt(EndpointsRequest request) = 0;

    /// Unpublish, and forget: at once. The links go with the namespace.
    virtual void detach(const EndpointId& endpoint) = 0;

    /// detach(), and take the link out of a namespace that lives on.
    virtual Task<void> disconnect(EndpointId endpoint) = 0;

    /// Drop whatever an earlier daemon left and nobody adopted. known: the networks there are.
    virtual Task<void> sweep(std::vector<NetworkSpec> known) = 0;

    /// Subnets that a network must not overlap: the host's routes and addresses, without those of
    /// the networks that this driver has made, and of one link more; "": of none.
    virtual Task<std::vector<Subnet>> subnets_taken(std::string except = "");

    /// The same names always; empty for a driver that does not see packets.
    virtual std::vector<NetworkCounter> counters() const { return {}; }

    /// Where a packet would go, and why. Errors: unsupported (this driver does not see packets);
    /// not_found (no such endpoint or uplink; nothing is loaded).
    virtual Task<TraceOutcome> trace(TraceRequest request);

    /// What 127.0.0.11:53 is in a namespace that another driver made; and no longer.
    /// Errors: unsupported (this driver, or the host, cannot do that).
    virtual Task<void> resolver_set(std::uint64_t netns_cookie,
                                    IpAddress resolver,
                                    std::uint16_t port);

    virtual void resolver_forget(std::uint64_t /*netns_cookie*/) {}

    /// Follow the host's links and addresses, until cancelled.
    virtual Task<void> run();

    /// Leave nothing on the host, unless an endpoint is still there.
    virtual Task<void> close() = 0;
};

struct BridgeDriverOptions {
    /// Whose links are whose: goes into their alias.
    std::string owner;
    /// Where the bpffs with the pins is mounted.
    std::string pin_directory;
    /// The cgroup (v2) whose sockets are seen: a path.
    std::string cgroup_path;
    /// Where what the host's lo was like is written down (drivers/net/loopback.h).
    std::string loopback_note;
};

/// macvlan and ipvlan: links that hang on one of the host's. owner: as BridgeDriverOptions has it.
std::unique_ptr<NetworkDriver> child_driver_make(std::string owner);

/// Linux bridges and veth pairs, with BPF programs in front. Touches nothing until it is used.
std::unique_ptr<NetworkDriver> bridge_driver_make(BridgeDriverOptions options);

}  // namespace davit
