#pragma once
/// EndpointSettings: a container's place in one network: what was asked for, and what it got.
/// Follows: Docker Engine API, EndpointSettings.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit {

struct EndpointIpam {
    std::string ipv4_address;
    std::string ipv6_address;
    std::vector<std::string> link_local_ips;

    bool operator==(const EndpointIpam&) const = default;
};

struct EndpointSettings {
    std::optional<EndpointIpam> ipam;
    std::vector<std::string> links;
    std::vector<std::string> aliases;
    std::string mac_address_wanted;
    std::map<std::string, std::string> driver_opts;
    /// The highest one's gateway is the container's.
    std::int64_t gw_priority = 0;

    // While the container runs:
    std::string network_id;
    std::string endpoint_id;
    std::string gateway;
    std::string ip_address;
    unsigned ip_prefix_len = 0;
    std::string ipv6_gateway;
    std::string ipv6_address;
    unsigned ipv6_prefix_len = 0;
    std::string mac_address;
    std::vector<std::string> dns_names;
    /// "eth0"; empty for the networks that have no interface.
    std::string interface;

    /// Forget what it got.
    void released();

    bool operator==(const EndpointSettings&) const = default;
};

/// What a client asks for; the keys that tell what an endpoint got are ignored, as Docker does.
/// Errors: invalid_argument for a member of a wrong type; unsupported (a link-local address).
Result<EndpointSettings> endpoint_settings_parse(const JsonValue& json);

/// One JSON object with Docker's keys in Docker's order.
void endpoint_settings_write(JsonWriter& json, const EndpointSettings& endpoint);

Result<void> field_read(const JsonValue& json, EndpointSettings& endpoint);
void field_write(JsonWriter& json, const EndpointSettings& endpoint);

}  // namespace davit
