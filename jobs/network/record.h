#pragma once
/// NetworkRecord: everything about a network that outlives the daemon's process.
/// Follows: Docker Engine API, Network.
#include <map>
#include <string>
#include <vector>

#include "drivers/net/driver.h"
#include "http/json_writer.h"
#include "reactor/base/clock.h"
#include "reactor/base/ids.h"

namespace davit {

inline constexpr const char* option_bridge_name = "com.docker.network.bridge.name";
inline constexpr const char* option_icc = "com.docker.network.bridge.enable_icc";
inline constexpr const char* option_masquerade = "com.docker.network.bridge.enable_ip_masquerade";
inline constexpr const char* option_binding = "com.docker.network.bridge.host_binding_ipv4";
/// davit's own: "false" has packets between containers go over the bridge.
inline constexpr const char* option_direct = "davit.bridge.direct";
inline constexpr const char* option_parent = "parent";
inline constexpr const char* option_macvlan_mode = "macvlan_mode";
inline constexpr const char* option_ipvlan_mode = "ipvlan_mode";
inline constexpr const char* option_ipvlan_flag = "ipvlan_flag";
inline constexpr const char* option_mtu = "com.docker.network.driver.mtu";

struct IpamConfig {
    std::string subnet;
    std::string ip_range;
    std::string gateway;
    std::map<std::string, std::string> auxiliary_addresses;

    bool is_v6() const { return subnet.find(':') != std::string::npos; }

    bool operator==(const IpamConfig&) const = default;
};

struct NetworkRecord {
    NetworkId id;
    std::string name;
    WallTime created{};
    std::string driver = "bridge";  // "macvlan", "ipvlan", "host", "null"
    bool enable_ipv6 = false;
    bool internal = false;
    bool attachable = false;
    std::string ipam_driver = "default";
    std::map<std::string, std::string> ipam_options;
    /// IPv4, then, with enable_ipv6, IPv6.
    std::vector<IpamConfig> ipam;
    /// Whether the subnet was asked for: only then may containers ask for addresses.
    bool subnet_asked = false;
    bool subnet6_asked = false;
    std::map<std::string, std::string> options;
    std::map<std::string, std::string> labels;
    std::uint32_t number = 0;
    /// Name of the bridge, or of what a macvlan or ipvlan hangs on.
    std::string interface;

    /// bridge, host and none.
    bool is_builtin() const;

    /// macvlan and ipvlan: its containers' links hang on one of the host's.
    bool hangs() const { return driver == "macvlan" || driver == "ipvlan"; }

    /// host and none have none.
    bool has_addresses() const { return driver == "bridge" || hangs(); }

    /// What it hangs on is davit's own, and leads nowhere.
    bool isolated() const { return hangs() && option(option_parent).empty(); }

    /// A container may get its default route from it.
    bool leads_out() const { return has_addresses() && !internal && !isolated(); }

    /// One that a user made: with the embedded resolver, aliases and static addresses.
    bool is_user_defined() const { return !is_builtin(); }

    /// "" if it is not given.
    std::string option(const std::string& key) const;

    /// An option that is "true" unless it says otherwise.
    bool option_bool(const std::string& key, bool fallback) const;

    bool operator==(const NetworkRecord&) const = default;
};

/// Versioned JSON, for the store.
std::string network_record_write(const NetworkRecord& record);

/// Errors: corrupt; unsupported (of a later version of davit).
Result<NetworkRecord> network_record_read(std::string_view text);

/// The addresses of a network that are not for its containers to have: gateway and further ones.
Result<std::vector<IpAddress>> reserved_addresses(const IpamConfig& config);

/// What the driver is told. Errors: corrupt, for a record with a subnet that is none.
Result<NetworkSpec> network_spec(const NetworkRecord& record);

}  // namespace davit
