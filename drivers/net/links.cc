#include "drivers/net/links.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <algorithm>
#include <cerrno>

#include "drivers/net/loopback.h"

namespace davit {

namespace {

constexpr unsigned mtu_fallback = 1500;

/// No link-local address by itself (linux/if_link.h in6_addr_gen_mode).

template <typename T>
std::string_view as_bytes(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

template <typename T>
bool read_head(std::string_view& body, T& head) {
    constexpr std::size_t size = (sizeof(T) + 3) & ~std::size_t{3};
    if (body.size() < size) {
        return false;
    }
    std::memcpy(&head, body.data(), sizeof(T));
    body.remove_prefix(size);
    return true;
}

IpAddress address_of(int family, std::string_view bytes) {
    if (family == AF_INET6) {
        std::array<std::uint8_t, 16> six{};
        std::memcpy(six.data(), bytes.data(), std::min(six.size(), bytes.size()));
        return IpAddress::from_bytes(six);
    }
    std::uint32_t value = 0;
    if (bytes.size() == sizeof(value)) {
        std::memcpy(&value, bytes.data(), sizeof(value));
    }
    return IpAddress::v4(ntohl(value));
}

bool is_internet(int family) {
    return family == AF_INET || family == AF_INET6;
}

int family_of(const IpAddress& address) {
    return address.is_v4() ? AF_INET : AF_INET6;
}

std::optional<LinkInfo> link_parse(std::string_view body) {
    ifinfomsg head{};
    if (!read_head(body, head)) {
        return std::nullopt;
    }
    const NetlinkAttributes attributes(body);
    LinkInfo link;
    link.index = head.ifi_index;
    link.type = head.ifi_type;
    link.name = attributes.text(IFLA_IFNAME);
    link.master = static_cast<int>(attributes.number(IFLA_MASTER));
    link.peer = static_cast<int>(attributes.number(IFLA_LINK));
    link.mtu = attributes.number(IFLA_MTU);
    link.alias = attributes.text(IFLA_IFALIAS);
    const std::string_view mac = attributes.find(IFLA_ADDRESS);
    if (mac.size() == link.mac.size()) {
        std::memcpy(link.mac.data(), mac.data(), mac.size());
    }
    return link;
}

std::optional<HostAddress> address_parse(std::string_view body) {
    ifaddrmsg head{};
    if (!read_head(body, head) || !is_internet(head.ifa_family)) {
        return std::nullopt;
    }
    const NetlinkAttributes attributes(body);
    HostAddress address;
    address.index = static_cast<int>(head.ifa_index);
    const std::string_view local = attributes.find(IFA_LOCAL);
    address.address =
        address_of(head.ifa_family, local.empty() ? attributes.find(IFA_ADDRESS) : local);
    constexpr unsigned unusable = IFA_F_SECONDARY | IFA_F_TENTATIVE | IFA_F_DADFAILED |
                                  IFA_F_DEPRECATED;  // IFA_F_SECONDARY is IPv6's IFA_F_TEMPORARY.
    address.secondary = (head.ifa_flags & unusable) != 0;
    address.global = head.ifa_scope == RT_SCOPE_UNIVERSE;
    address.prefix = head.ifa_prefixlen;
    return address;
}

struct Route {
    int family = 0;
    /// Unset: a default route.
    Subnet destination;
    int index = 0;
};

std::optional<Route> route_parse(std::string_view body) {
    rtmsg head{};
    if (!read_head(body, head) || !is_internet(head.rtm_family) || head.rtm_type != RTN_UNICAST) {
        return std::nullopt;
    }
    const NetlinkAttributes attributes(body);
    Route route;
    route.family = head.rtm_family;
    route.index = static_cast<int>(attributes.number(RTA_OIF));
    if (head.rtm_dst_len > 0) {
        route.destination =
            Subnet(address_of(head.rtm_family, attributes.find(RTA_DST)), head.rtm_dst_len);
    }
    return route;
}

Result<void> addresses_dump(NetlinkSocket& socket,
                            const std::function<void(const HostAddress&)>& visit) {
    const ifaddrmsg every{};  // AF_UNSPEC: of every family there is.
    return socket.dump(RTM_GETADDR, as_bytes(every), [&](std::uint16_t, std::string_view body) {
        if (const auto address = address_parse(body)) {
            visit(*address);
        }
    });
}

Result<void> routes_dump(NetlinkSocket& socket, const std::function<void(const Route&)>& visit) {
    const rtmsg every{};
    return socket.dump(RTM_GETROUTE, as_bytes(every), [&](std::uint16_t, std::string_view body) {
        if (const auto route = route_parse(body)) {
            visit(*route);
        }
    });
}

ifinfomsg link_head(int index, unsigned flags = 0, unsigned change = 0) {
    ifinfomsg head{};
    head.ifi_family = AF_UNSPEC;
    head.ifi_index = index;
    head.ifi_flags = flags;
    head.ifi_change = change;
    return head;
}

void address_add(NetlinkBatch& batch, int index, const LinkAddress& added) {
    const auto& [address, prefix] = added;
    ifaddrmsg head{};
    head.ifa_family = static_cast<std::uint8_t>(family_of(address));
    head.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
    head.ifa_flags = address.is_v4() ? 0 : IFA_F_NODAD;
    head.ifa_scope = RT_SCOPE_UNIVERSE;
    head.ifa_index = static_cast<std::uint32_t>(index);
    batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "add address " + address.str());
    batch.header(head);
    batch.attribute(IFA_LOCAL, address);
    batch.attribute(IFA_ADDRESS, address);
    if (address.is_v4()) {
        batch.attribute(IFA_BROADCAST, Subnet(address, prefix).last());
    }
}

void default_route_add(NetlinkBatch& batch, int index, const IpAddress& gateway) {
    rtmsg head{};
    head.rtm_family = static_cast<std::uint8_t>(family_of(gateway));
    head.rtm_table = RT_TABLE_MAIN;
    head.rtm_protocol = RTPROT_BOOT;
    const bool direct = gateway.unset() || gateway == IpAddress::v4(0);
    head.rtm_scope = direct && gateway.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    head.rtm_type = RTN_UNICAST;
    batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "add default route");
    batch.header(head);
    if (!direct) {
        batch.attribute(RTA_GATEWAY, gateway);
    }
    batch.attribute(RTA_OIF, static_cast<std::uint32_t>(index));
}

void link_up(NetlinkBatch& batch, int index, const std::string& name) {
    batch.begin(RTM_NEWLINK, 0, "set up " + name);
    batch.header(link_head(index, IFF_UP, IFF_UP));
}

/// And set it up: before the IPv6 ones, whose routes want a link that is.
void addresses_add(NetlinkBatch& batch,
                   int index,
                   const std::string& name,
                   const std::vector<LinkAddress>& addresses) {
    for (const LinkAddress& one : addresses) {
        if (one.address.is_v4()) {
            address_add(batch, index, one);
        }
    }
    link_up(batch, index, name);
    for (const LinkAddress& one : addresses) {
        if (!one.address.is_v4()) {
            address_add(batch, index, one);
        }
    }
}

/// No link gets an IPv6 address that nobody asked for. index 0: by the name.
void no_link_local(NetlinkBatch& batch, int index, const std::string& name) {
    batch.begin(RTM_NEWLINK, 0, "set IPv6 of " + name);
    batch.forgive(EAFNOSUPPORT);  // A kernel without IPv6.
    batch.header(link_head(index));
    if (index == 0) {
        batch.attribute(IFLA_IFNAME, name);
    }
    const std::size_t families = batch.nest(IFLA_AF_SPEC);
    const std::size_t inet6 = batch.nest(AF_INET6);
    batch.attribute_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    batch.close(inet6);
    batch.close(families);
}

/// Settings of net.ipv4.conf.LINK inside an open IFLA_AF_SPEC.
void ipv4_settings(NetlinkBatch& batch, std::initializer_list<std::uint16_t> switched_on) {
    const std::size_t inet = batch.nest(AF_INET);
    const std::size_t conf = batch.nest(IFLA_INET_CONF);
    for (const std::uint16_t setting : switched_on) {
        batch.attribute(setting, std::uint32_t{1});
    }
    batch.close(conf);
    batch.close(inet);
}

tcmsg tc_head(int index, std::uint32_t handle, std::uint32_t parent, std::uint32_t info = 0) {
    tcmsg head{};
    head.tcm_family = AF_UNSPEC;
    head.tcm_ifindex = index;
    head.tcm_handle = handle;
    head.tcm_parent = parent;
    head.tcm_info = info;
    return head;
}

constexpr std::uint32_t ingress_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t egress_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

std::uint32_t filter_info(std::uint16_t priority) {
    return TC_H_MAKE(static_cast<std::uint32_t>(priority) << 16, htons(ETH_P_ALL));
}

}  // namespace

const LinkInfo* HostNetwork::find(std::string_view name) const {
    const auto found = std::ranges::find(links, name, &LinkInfo::name);
    return found == links.end() ? nullptr : &*found;
}

const LinkInfo* HostNetwork::find(int index) const {
    const auto found = std::ranges::lower_bound(links, index, {}, &LinkInfo::index);
    return found == links.end() || found->index != index ? nullptr : &*found;
}

unsigned HostNetwork::mtu_default() const {
    const LinkInfo* link = default_link == 0 ? nullptr : find(default_link);
    return link == nullptr || link->mtu == 0 ? mtu_fallback : link->mtu;
}

Result<std::vector<LinkInfo>> links_read(NetlinkSocket& socket) {
    std::vector<LinkInfo> links;
    const ifinfomsg head = link_head(0);
    TRY_VOID(socket.dump(RTM_GETLINK, as_bytes(head), [&](std::uint16_t, std::string_view body) {
        if (auto link = link_parse(body)) {
            links.push_back(*std::move(link));
        }
    }));
    std::ranges::sort(links, {}, &LinkInfo::index);
    return links;
}

Result<std::optional<LinkInfo>> link_read(NetlinkSocket& socket, const std::string& name) {
    std::optional<LinkInfo> link;
    NetlinkBatch batch;
    batch.begin(RTM_GETLINK, 0, "look for link " + name);
    batch.forgive(ENODEV);
    batch.header(link_head(0));
    batch.attribute(IFLA_IFNAME, name);
    TRY_VOID(
        socket.run(batch, [&](std::uint16_t, std::string_view body) { link = link_parse(body); }));
    return link;
}

Result<HostNetwork> host_network_read(NetlinkSocket& socket) {
    HostNetwork host;
    TRY(host.links, links_read(socket));
    TRY_VOID(addresses_dump(
        socket, [&](const HostAddress& address) { host.addresses.push_back(address); }));
    TRY_VOID(routes_dump(socket, [&](const Route& route) {
        const bool is_default = route.destination.unset() && route.family == AF_INET;
        if (is_default && host.default_link == 0) {
            host.default_link = route.index;
        }
    }));
    return host;
}

Result<std::vector<LinkSubnet>> subnets_read(NetlinkSocket& socket) {
    std::vector<LinkSubnet> subnets;
    TRY_VOID(addresses_dump(socket, [&](const HostAddress& address) {
        subnets.push_back({Subnet(address.address, address.prefix), address.index});
    }));
    TRY_VOID(routes_dump(socket, [&](const Route& route) {
        if (!route.destination.unset()) {
            subnets.push_back({route.destination, route.index});
        }
    }));
    return subnets;
}

void bridge_add(NetlinkBatch& batch, const BridgeRequest& request) {
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create bridge " + request.name);
    batch.header(link_head(0));
    batch.attribute(IFLA_IFNAME, request.name);
    batch.attribute(IFLA_ADDRESS, std::span<const std::uint8_t>(request.mac));
    batch.attribute(IFLA_MTU, request.mtu);
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("bridge"));
    batch.close(info);
}

void bridge_configure(NetlinkBatch& batch, int index, const BridgeRequest& request) {
    batch.begin(RTM_NEWLINK, 0, "name the owner of " + request.name);
    batch.header(link_head(index));
    batch.attribute(IFLA_IFALIAS, request.alias);
    no_link_local(batch, index, request.name);
    addresses_add(batch, index, request.name, request.addresses);
}

void veth_add(NetlinkBatch& batch, const VethRequest& request) {
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create veth " + request.name);
    batch.header(link_head(0, IFF_UP, IFF_UP));
    batch.attribute(IFLA_IFNAME, request.name);
    batch.attribute(IFLA_MTU, request.mtu);
    batch.attribute(IFLA_MASTER, static_cast<std::uint32_t>(request.bridge_index));
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("veth"));
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    const std::size_t peer = batch.nest(VETH_INFO_PEER);
    batch.header(link_head(0));
    batch.attribute(IFLA_IFNAME, request.peer_name);
    batch.attribute(IFLA_MTU, request.mtu);
    batch.attribute(IFLA_ADDRESS, std::span<const std::uint8_t>(request.peer_mac));
    batch.attribute(IFLA_NET_NS_FD, static_cast<std::uint32_t>(request.netns_fd));
    batch.close(peer);
    batch.close(data);
    batch.close(info);
    // An alias and the families' settings are for links that exist.
    batch.begin(RTM_NEWLINK, 0, "configure veth " + request.name);
    batch.header(link_head(0));
    batch.attribute(IFLA_IFNAME, request.name);
    batch.attribute(IFLA_IFALIAS, request.alias);
    const std::size_t families = batch.nest(IFLA_AF_SPEC);
    ipv4_settings(batch, {IPV4_DEVCONF_FORWARDING});
    batch.close(families);
    no_link_local(batch, 0, request.name);
}

void bridge_address_set(NetlinkBatch& batch, int index, const MacAddress& mac) {
    batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "set the bridge's address of a port");
    ndmsg head{};
    head.ndm_family = AF_BRIDGE;
    head.ndm_ifindex = index;
    head.ndm_state = NUD_NOARP;
    head.ndm_flags = NTF_MASTER | NTF_STICKY;
    batch.header(head);
    batch.attribute(NDA_LLADDR, std::span<const std::uint8_t>(mac));
}

void loopback_up(NetlinkBatch& batch) {
    link_up(batch, loopback_index, "lo");
}

void loopback_open(NetlinkBatch& batch) {
    batch.begin(RTM_NEWLINK, 0, "configure lo");
    batch.header(link_head(loopback_index));
    const std::size_t families = batch.nest(IFLA_AF_SPEC);
    ipv4_settings(batch, {IPV4_DEVCONF_ACCEPT_LOCAL, IPV4_DEVCONF_ROUTE_LOCALNET});
    batch.close(families);
}

void interface_configure(NetlinkBatch& batch, const InterfaceRequest& request) {
    no_link_local(batch, request.index, request.name);
    addresses_add(batch, request.index, request.name, request.addresses);
    for (const IpAddress& gateway : request.gateways) {
        default_route_add(batch, request.index, gateway);
    }
}

void link_delete(NetlinkBatch& batch, int index, const std::string& name) {
    batch.begin(RTM_DELLINK, 0, "delete link " + name);
    batch.forgive(ENODEV);
    batch.header(link_head(index));
    if (index == 0) {
        batch.attribute(IFLA_IFNAME, name);
    }
}

void clsact_add(NetlinkBatch& batch, int index) {
    batch.begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, "add clsact");
    batch.header(tc_head(index, TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT));
    batch.attribute(TCA_KIND, std::string_view("clsact"));
}

void filter_add(NetlinkBatch& batch,
                int index,
                int program_fd,
                const std::string& name,
                std::uint16_t priority,
                std::uint32_t handle) {
    batch.begin(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, "add filter " + name);
    batch.header(tc_head(index, handle, ingress_parent, filter_info(priority)));
    batch.attribute(TCA_KIND, std::string_view("bpf"));
    const std::size_t options = batch.nest(TCA_OPTIONS);
    batch.attribute(TCA_BPF_FD, static_cast<std::uint32_t>(program_fd));
    batch.attribute(TCA_BPF_NAME, name);
    batch.attribute(TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
    batch.close(options);
}

void filter_delete(NetlinkBatch& batch, int index, std::uint16_t priority, std::uint32_t handle) {
    batch.begin(RTM_DELTFILTER, 0, "delete filter");
    batch.forgive(ENOENT);
    batch.header(tc_head(index, handle, ingress_parent, filter_info(priority)));
    batch.attribute(TCA_KIND, std::string_view("bpf"));
}

Result<std::vector<FilterInfo>> filters_read(NetlinkSocket& socket, int index) {
    std::vector<FilterInfo> filters;
    const tcmsg head = tc_head(index, 0, ingress_parent);
    const auto read = [&](std::uint16_t type, std::string_view body) {
        tcmsg filter{};
        if (type != RTM_NEWTFILTER || !read_head(body, filter)) {
            return;
        }
        const NetlinkAttributes attributes(body);
        const NetlinkAttributes options(attributes.find(TCA_OPTIONS));
        // Each priority is announced by a message of its own, without a program.
        if (attributes.text(TCA_KIND) == "bpf" && options.number(TCA_BPF_ID) != 0) {
            filters.push_back({static_cast<std::uint16_t>(TC_H_MAJ(filter.tcm_info) >> 16),
                               filter.tcm_handle,
                               options.text(TCA_BPF_NAME)});
        }
    };
    TRY_VOID(socket.dump(RTM_GETTFILTER, as_bytes(head), read));
    return filters;
}

Result<bool> clsact_is_used(NetlinkSocket& socket, int index) {
    bool used = false;
    for (const std::uint32_t parent : {ingress_parent, egress_parent}) {
        const tcmsg head = tc_head(index, 0, parent);
        TRY_VOID(
            socket.dump(RTM_GETTFILTER, as_bytes(head), [&](std::uint16_t type, std::string_view) {
                used = used || type == RTM_NEWTFILTER;
            }));
    }
    return used;
}

void clsact_delete(NetlinkBatch& batch, int index) {
    batch.begin(RTM_DELQDISC, 0, "delete clsact");
    batch.forgive(ENOENT);
    batch.header(tc_head(index, TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT));
    batch.attribute(TCA_KIND, std::string_view("clsact"));
}

}  // namespace davit
