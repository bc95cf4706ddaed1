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
    std::string driver = "bridge";  // "host", "null"
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
    /// Name of the bridge.
    std::string interface;

    /// bridge, host and none.
    bool is_builtin() const;

    /// One that a user made: with the embedded resolver, aliases and static addresses.
    bool is_user_defined() const { return !is_builtin(); }

    /// An option that is "true" unless it says otherwise.
    bool option_bool(const std::string& key, bool fallback) const;

    bool operator==(const NetworkRecord&) const = default;
};

inline constexpr const char* option_bridge_name = "com.docker.network.bridge.name";
inline constexpr const char* option_icc = "com.docker.network.bridge.enable_icc";
inline constexpr const char* option_masquerade = "com.docker.network.bridge.enable_ip_masquerade";
inline constexpr const char* option_binding = "com.docker.network.bridge.host_binding_ipv4";
inline constexpr const char* option_mtu = "com.docker.network.driver.mtu";

/// Versioned JSON, for the store.
std::string network_record_write(const NetworkRecord& record);

/// Errors: corrupt; unsupported (of a later version of davit).
Result<NetworkRecord> network_record_read(std::string_view text);

/// The addresses of a network that are not for its containers to have: gateway and further ones.
Result<std::vector<IpAddress>> reserved_addresses(const IpamConfig& config);

/// What the driver is told. Errors: corrupt, for a record with a subnet that is none.
Result<NetworkSpec> network_spec(const NetworkRecord& record);

}  // namespace davit
