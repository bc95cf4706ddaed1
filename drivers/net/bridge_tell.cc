#include "drivers/net/bridge_tell.h"

#include <map>
#include <set>

namespace davit {

namespace {

/// fc00::/7, RFC 4193.
bool is_local6(const IpAddress& address) {
    return (address.bytes()[0] & 0xfe) == 0xfc;
}

/// The links that lead out, and the address of each that containers are seen as.
void uplinks_tell(NetworkPrograms& programs, const HostNetwork& host, const std::string& owner) {
    std::map<std::uint32_t, uplink_value> uplinks;
    std::map<std::uint32_t, uplink_value> uplinks6;
    for (const HostAddress& address : host.addresses) {
        const LinkInfo* link = host.find(address.index);
        // Behind another davit daemon's bridge are its containers: nothing to go out to.
        if (link == nullptr || address.secondary || !address.global || !is_uplink(*link, owner) ||
            is_davits(*link)) {
            continue;
        }
        const auto index = static_cast<std::uint32_t>(address.index);
        const uplink_value value{bpf_address(address.address), link->mtu};
        if (address.address.is_v4()) {
            uplinks.emplace(index, value);
        } else if (!is_local6(address.address)) {
            uplinks6.insert_or_assign(index, value);  // Can be answered from everywhere.
        } else {
            uplinks6.emplace(index, value);
        }
    }
    for (const auto& [index, value] : uplinks) {
        static_cast<void>(programs.uplink_set(index, value));
    }
    for (const auto& [index, value] : uplinks6) {
        static_cast<void>(programs.uplink6_set(index, value));
    }
    for (const std::uint32_t known : programs.uplinks()) {
        if (!uplinks.contains(known)) {
            programs.uplink_delete(known);
        }
    }
    for (const std::uint32_t known : programs.uplinks6()) {
        if (!uplinks6.contains(known)) {
            programs.uplink6_delete(known);
        }
    }
}

}  // namespace

std::vector<davit_address> host_tell(NetworkPrograms& programs,
                                     const HostNetwork& host,
                                     const std::string& owner) {
    std::set<IpAddress> addresses;
    const Subnet loopback(IpAddress::v4(127U << 24), 8);
    const IpAddress loopback6 = IpAddress::from_number(1);
    for (const HostAddress& address : host.addresses) {
        const LinkInfo* link = host.find(address.index);
        if (link == nullptr || loopback.contains(address.address) || address.address == loopback6 ||
            address.address.is_link_local6()) {
            continue;
        }
        addresses.insert(address.address);
        static_cast<void>(programs.host_address_set(bpf_address(address.address),
                                                    static_cast<std::uint32_t>(address.index)));
    }
    uplinks_tell(programs, host, owner);
    std::vector<davit_address> gone = programs.host_addresses();
    std::erase_if(
        gone, [&](const davit_address& known) { return addresses.contains(address_from(known)); });
    return gone;
}

std::vector<NetworkCounter> counters_of(std::vector<NetworkStat> stats) {
    constexpr std::string_view drop = "drop_";
    std::vector<NetworkCounter> counters;
    for (NetworkStat& stat : stats) {
        const bool dropped = stat.name.starts_with(drop);
        counters.push_back({dropped ? stat.name.substr(drop.size()) : std::move(stat.name),
                            std::move(stat.meaning),
                            dropped,
                            stat.packets,
                            stat.bytes});
    }
    return counters;
}

}  // namespace davit
