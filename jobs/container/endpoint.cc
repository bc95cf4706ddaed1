#include "jobs/container/endpoint.h"

#include "jobs/container/json_fields.h"
#include "jobs/container/links.h"

namespace davit {

template <typename V>
void fields(V& visit, FieldOf<V, EndpointIpam>& ipam) {
    visit("IPv4Address", ipam.ipv4_address, WhenEmpty::omit);
    visit("IPv6Address", ipam.ipv6_address, WhenEmpty::omit);
    visit("LinkLocalIPs", ipam.link_local_ips, WhenEmpty::omit);
}

namespace {

/// The record's form: what was asked for, and the rest under names of its own.
template <typename V>
void record_fields(V& visit, FieldOf<V, EndpointSettings>& endpoint) {
    visit("IPAMConfig", endpoint.ipam, WhenEmpty::omit);
    visit("Links", endpoint.links, WhenEmpty::omit);
    visit("Aliases", endpoint.aliases, WhenEmpty::omit);
    visit("MacAddress", endpoint.mac_address_wanted, WhenEmpty::omit);
    visit("DriverOpts", endpoint.driver_opts, WhenEmpty::omit);
    visit("GwPriority", endpoint.gw_priority, WhenEmpty::omit);
    visit("NetworkId", endpoint.network_id, WhenEmpty::omit);
    visit("EndpointId", endpoint.endpoint_id, WhenEmpty::omit);
    visit("Gateway", endpoint.gateway, WhenEmpty::omit);
    visit("IpAddress", endpoint.ip_address, WhenEmpty::omit);
    visit("IpPrefixLen", endpoint.ip_prefix_len, WhenEmpty::omit);
    visit("Ipv6Gateway", endpoint.ipv6_gateway, WhenEmpty::omit);
    visit("Ipv6Address", endpoint.ipv6_address, WhenEmpty::omit);
    visit("Ipv6PrefixLen", endpoint.ipv6_prefix_len, WhenEmpty::omit);
    visit("Mac", endpoint.mac_address, WhenEmpty::omit);
    visit("DnsNames", endpoint.dns_names, WhenEmpty::omit);
    visit("Interface", endpoint.interface, WhenEmpty::omit);
}

}  // namespace

void EndpointSettings::released() {
    endpoint_id.clear();
    gateway.clear();
    ip_address.clear();
    ip_prefix_len = 0;
    ipv6_gateway.clear();
    ipv6_address.clear();
    ipv6_prefix_len = 0;
    mac_address.clear();
    interface.clear();
}

Result<EndpointSettings> endpoint_settings_parse(const JsonValue& json) {
    EndpointSettings endpoint;
    FieldReader reader(json);
    reader("IPAMConfig", endpoint.ipam);
    reader("Links", endpoint.links);
    reader("Aliases", endpoint.aliases);
    reader("MacAddress", endpoint.mac_address_wanted);
    reader("DriverOpts", endpoint.driver_opts);
    reader("GwPriority", endpoint.gw_priority);
    TRY_VOID(std::move(reader).result());
    if (endpoint.ipam && *endpoint.ipam == EndpointIpam()) {
        endpoint.ipam.reset();
    }
    if (endpoint.ipam && !endpoint.ipam->link_local_ips.empty()) {
        return Error(ErrorKind::unsupported,
                     "LinkLocalIPs is not supported by davit yet: leave --link-local-ip out");
    }
    for (const std::string& link : endpoint.links) {
        TRY([[maybe_unused]] const ContainerLink parsed, link_parse(link));
    }
    if (!endpoint.driver_opts.empty()) {
        return Error(ErrorKind::unsupported,
                     "DriverOpts \"" + endpoint.driver_opts.begin()->first +
                         "\" of an endpoint is not supported by davit yet: leave it out");
    }
    return endpoint;
}

void endpoint_settings_write(JsonWriter& json, const EndpointSettings& endpoint) {
    json.begin_object();
    FieldWriter writer(json);
    writer("IPAMConfig", endpoint.ipam, WhenEmpty::null);
    writer("Links", endpoint.links, WhenEmpty::null);
    writer("Aliases", endpoint.aliases, WhenEmpty::null);
    writer("MacAddress",
           endpoint.mac_address.empty() ? endpoint.mac_address_wanted : endpoint.mac_address);
    writer("DriverOpts", endpoint.driver_opts, WhenEmpty::null);
    writer("GwPriority", endpoint.gw_priority);
    writer("NetworkID", endpoint.network_id);
    writer("EndpointID", endpoint.endpoint_id);
    writer("Gateway", endpoint.gateway);
    writer("IPAddress", endpoint.ip_address);
    writer("IPPrefixLen", endpoint.ip_prefix_len);
    writer("IPv6Gateway", endpoint.ipv6_gateway);
    writer("GlobalIPv6Address", endpoint.ipv6_address);
    writer("GlobalIPv6PrefixLen", endpoint.ipv6_prefix_len);
    writer("DNSNames", endpoint.dns_names, WhenEmpty::null);
    json.end_object();
}

Result<void> field_read(const JsonValue& json, EndpointSettings& endpoint) {
    FieldReader reader(json);
    record_fields(reader, endpoint);
    return std::move(reader).result();
}

void field_write(JsonWriter& json, const EndpointSettings& endpoint) {
    json.begin_object();
    FieldWriter writer(json);
    record_fields(writer, endpoint);
    json.end_object();
}

}  // namespace davit
