#pragma once
/// What the bridge driver asks of rtnetlink: bridges, veth pairs, addresses, routes, TC filters;
/// and what the host has. All of it blocks (drivers/net/netlink.h).
#include <optional>
#include <string>
#include <vector>

#include "drivers/net/netlink.h"

namespace davit {

struct LinkInfo {
    int index = 0;
    std::string name;
    /// ARPHRD_*.
    unsigned type = 0;
    /// The link it is a port of; 0: none.
    int master = 0;
    /// The other end of a veth pair, in whichever namespace; 0: none.
    int peer = 0;
    unsigned mtu = 0;
    /// IFLA_IFALIAS: whose it is, if it is davit's.
    std::string alias;
    MacAddress mac{};
};

struct HostAddress {
    int index = 0;
    IpAddress address;
    unsigned prefix = 0;
    /// IPv4: not the first of its subnet. IPv6: one that changes, or is not to be used (any more).
    bool secondary = false;
    /// RT_SCOPE_UNIVERSE.
    bool global = false;
};

/// What a network namespace has.
struct HostNetwork {
    /// In the order of their indices.
    std::vector<LinkInfo> links;
    std::vector<HostAddress> addresses;
    /// The link of the default route; 0: none.
    int default_link = 0;

    const LinkInfo* find(std::string_view name) const;
    const LinkInfo* find(int index) const;

    /// Of the default route's link, else 1500.
    unsigned mtu_default() const;
};

/// In the order of their indices.
Result<std::vector<LinkInfo>> links_read(NetlinkSocket& socket);

/// One link, by its name; nothing: there is none.
Result<std::optional<LinkInfo>> link_read(NetlinkSocket& socket, const std::string& name);

Result<HostNetwork> host_network_read(NetlinkSocket& socket);

/// What a route or an address of a link's leads to; index 0: of no link, or of several.
struct LinkSubnet {
    Subnet subnet;
    int index = 0;
};

/// Of every route and address, without the default ones.
Result<std::vector<LinkSubnet>> subnets_read(NetlinkSocket& socket);

/// An address of a link's, and how much of it is the network's.
struct LinkAddress {
    IpAddress address;
    unsigned prefix = 0;
};

struct BridgeRequest {
    std::string name;
    std::string alias;
    MacAddress mac{};
    /// The gateway's, one of each family.
    std::vector<LinkAddress> addresses;
    unsigned mtu = 0;
};

void bridge_add(NetlinkBatch& batch, const BridgeRequest& request);
/// Alias, address and state of one that is there.
void bridge_configure(NetlinkBatch& batch, int index, const BridgeRequest& request);

struct VethRequest {
    /// The host's end.
    std::string name;
    std::string alias;
    int bridge_index = 0;
    /// The container's end is born in this namespace, under this name.
    int netns_fd = -1;
    std::string peer_name;
    MacAddress peer_mac{};
    unsigned mtu = 0;
};

/// Host side. The host's end may look routes up for what comes in through it (forwarding), which
/// bpf_fib_lookup() asks for; packets of the stack come in through the bridge and gain nothing.
void veth_add(NetlinkBatch& batch, const VethRequest& request);

/// Where the bridge of a port sends what is for a MAC, from now on: whatever else comes to use it,
/// or had it before. So the kernel may hold the namespace of a container that has gone (a TCP
/// connection that still closes does), and no container gets what is for another one by sending in
/// its name. Follows: bridge(8) "fdb replace", "sticky".
void bridge_address_set(NetlinkBatch& batch, int index, const MacAddress& mac);

/// In the container's namespace.
void loopback_up(NetlinkBatch& batch);

/// In the host's: packets from 127.0.0.1 may go to a container and come back through lo. Nobody
/// outside can send into lo.
void loopback_open(NetlinkBatch& batch);

struct InterfaceRequest {
    int index = 0;
    std::string name;
    std::vector<LinkAddress> addresses;
    /// A default route through each; 0.0.0.0 or ::: through the link alone.
    std::vector<IpAddress> gateways;
};

/// An IPv6 address is used at once: nobody else in a network can have it, so none asks for
/// duplicates.
void interface_configure(NetlinkBatch& batch, const InterfaceRequest& request);

/// Delete a link; index 0: by its name. Never a container's veth that dies with its namespace: a
/// delete waits for tens of milliseconds.
void link_delete(NetlinkBatch& batch, int index, const std::string& name);

/// The qdisc that filters hang on. Errors: conflict (it is there).
void clsact_add(NetlinkBatch& batch, int index);

/// One cls_bpf filter in direct-action mode at ingress; an older one with the same priority and
/// handle is replaced. handle 0: beside those that are there, with one of the kernel's choice.
void filter_add(NetlinkBatch& batch,
                int index,
                int program_fd,
                const std::string& name,
                std::uint16_t priority,
                std::uint32_t handle = 1);
void filter_delete(NetlinkBatch& batch, int index, std::uint16_t priority, std::uint32_t handle);

/// A BPF filter at a link's ingress.
struct FilterInfo {
    std::uint16_t priority = 0;
    std::uint32_t handle = 0;
    std::string name;
};

/// Of anybody; without a clsact there is none.
Result<std::vector<FilterInfo>> filters_read(NetlinkSocket& socket, int index);

/// Whether a filter, of anybody's, is on the link's clsact; without a clsact there is none.
Result<bool> clsact_is_used(NetlinkSocket& socket, int index);
/// The qdisc, with whatever filters are on it.
void clsact_delete(NetlinkBatch& batch, int index);

}  // namespace davit
