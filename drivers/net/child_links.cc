#include "drivers/net/child_links.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

namespace davit {

namespace {

constexpr unsigned vlan_id_max = 4094;

template <std::size_t size>
using Values = std::array<std::pair<std::string_view, std::uint16_t>, size>;

/// The first is the default.
constexpr Values<4> macvlan_modes{{{"bridge", MACVLAN_MODE_BRIDGE},
                                   {"private", MACVLAN_MODE_PRIVATE},
                                   {"vepa", MACVLAN_MODE_VEPA},
                                   {"passthru", MACVLAN_MODE_PASSTHRU}}};
constexpr Values<3> ipvlan_modes{
    {{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}}};
constexpr Values<3> ipvlan_flags{
    {{"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}}};

template <std::size_t size>
std::optional<std::uint16_t> value_of(const Values<size>& values, const std::string& name) {
    const auto found =
        std::ranges::find_if(values, [&](const auto& item) { return item.first == name; });
    if (name.empty()) {
        return values.front().second;
    }
    return found == values.end() ? std::nullopt : std::optional(found->second);
}

ifinfomsg link_head(bool up = false) {
    ifinfomsg head{};
    head.ifi_family = AF_UNSPEC;
    head.ifi_flags = up ? IFF_UP : 0;
    head.ifi_change = up ? IFF_UP : 0;
    return head;
}

void attribute_u16(NetlinkBatch& batch, std::uint16_t type, std::uint16_t value) {
    std::array<std::uint8_t, sizeof(value)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(value));
    batch.attribute(type, std::span<const std::uint8_t>(bytes));
}

void child_link_data(NetlinkBatch& batch, const ChildLinkRequest& request) {
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    if (request.kind == "macvlan") {
        batch.attribute(IFLA_MACVLAN_MODE,
                        std::uint32_t{value_of(macvlan_modes, request.mode).value_or(0)});
    } else {
        attribute_u16(batch, IFLA_IPVLAN_MODE, value_of(ipvlan_modes, request.mode).value_or(0));
        attribute_u16(batch, IFLA_IPVLAN_FLAGS, value_of(ipvlan_flags, request.flag).value_or(0));
    }
    batch.close(data);
}

/// An alias, no IPv6 address of its own, and up.
void parent_configure(NetlinkBatch& batch, const std::string& name, const std::string& alias) {
    batch.begin(RTM_NEWLINK, 0, "configure " + name);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, name);
    batch.attribute(IFLA_IFALIAS, alias);
    batch.begin(RTM_NEWLINK, 0, "set IPv6 of " + name);
    batch.forgive(EAFNOSUPPORT);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, name);
    const std::size_t families = batch.nest(IFLA_AF_SPEC);
    const std::size_t inet6 = batch.nest(AF_INET6);
    batch.attribute_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    batch.close(inet6);
    batch.close(families);
    batch.begin(RTM_NEWLINK, 0, "set up " + name);
    batch.header(link_head(true));
    batch.attribute(IFLA_IFNAME, name);
}

/// "dm-0123456789ab" has all the letters that a name may have.
std::string isolated_peer_name(const std::string& name) {
    return "dn" + name.substr(2);
}

}  // namespace

bool macvlan_mode_known(const std::string& mode) {
    return value_of(macvlan_modes, mode).has_value();
}

bool ipvlan_mode_known(const std::string& mode) {
    return value_of(ipvlan_modes, mode).has_value();
}

bool ipvlan_flag_known(const std::string& flag) {
    return value_of(ipvlan_flags, flag).has_value();
}

void child_link_add(NetlinkBatch& batch, const ChildLinkRequest& request) {
    batch.begin(
        RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create " + request.kind + " link " + request.name);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, request.name);
    batch.attribute(IFLA_LINK, static_cast<std::uint32_t>(request.parent_index));
    batch.attribute(IFLA_NET_NS_FD, static_cast<std::uint32_t>(request.netns_fd));
    if (request.mac != MacAddress{}) {
        batch.attribute(IFLA_ADDRESS, std::span<const std::uint8_t>(request.mac));
    }
    if (request.mtu != 0) {
        batch.attribute(IFLA_MTU, request.mtu);
    }
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view(request.kind));
    child_link_data(batch, request);
    batch.close(info);
}

Result<bool> link_kind_known(NetlinkSocket& socket, const std::string& kind) {
    // A kind that is known wants a parent, which is not given: nothing is made.
    NetlinkBatch batch;
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "try a link of kind " + kind);
    batch.header(link_head());
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view(kind));
    batch.close(info);
    const Result<void> made = socket.run(batch);
    if (made || made.error().errno_value() == EINVAL) {
        return true;
    }
    if (made.error().errno_value() == EOPNOTSUPP) {
        return false;
    }
    return made.error();
}

void isolated_parent_add(NetlinkBatch& batch, const std::string& name, const std::string& alias) {
    const std::string other = isolated_peer_name(name);
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create link " + name);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, name);
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("veth"));
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    const std::size_t peer = batch.nest(VETH_INFO_PEER);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, other);
    batch.close(peer);
    batch.close(data);
    batch.close(info);
    parent_configure(batch, other, alias);
    parent_configure(batch, name, alias);
}

void vlan_add(NetlinkBatch& batch,
              const std::string& name,
              int parent_index,
              unsigned id,
              const std::string& alias) {
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create VLAN " + name);
    batch.header(link_head());
    batch.attribute(IFLA_IFNAME, name);
    batch.attribute(IFLA_LINK, static_cast<std::uint32_t>(parent_index));
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("vlan"));
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    attribute_u16(batch, IFLA_VLAN_ID, static_cast<std::uint16_t>(id));
    batch.close(data);
    batch.close(info);
    parent_configure(batch, name, alias);
}

Result<VlanName> vlan_name_parse(const std::string& name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos || dot == 0) {
        return Error(ErrorKind::invalid_argument,
                     "invalid subinterface vlan name " + name + ", example formatting is eth0.10");
    }
    VlanName vlan{.link = name.substr(0, dot)};
    const char* const end = name.data() + name.size();
    const auto [last, error] = std::from_chars(name.data() + dot + 1, end, vlan.id);
    if (error != std::errc{} || last != end) {
        return Error(ErrorKind::invalid_argument,
                     "unable to parse the VLAN ID of " + name + ", example formatting is eth0.10");
    }
    if (vlan.id < 1 || vlan.id > vlan_id_max) {
        return Error(ErrorKind::invalid_argument,
                     "vlan id must be between 1-4094, received: " + std::to_string(vlan.id));
    }
    return vlan;
}

}  // namespace davit
