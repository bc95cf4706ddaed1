#include "http/api/network_json.h"

#include "http/json_reader.h"

namespace davit {

namespace {

void write_map(JsonWriter& json,
               std::string_view key,
               const std::map<std::string, std::string>& map,
               bool null_if_empty = false) {
    json.key(key);
    if (map.empty() && null_if_empty) {
        json.null();
    } else {
        json.string_map(map);
    }
}

void write_ipam(JsonWriter& json, const NetworkRecord& record) {
    json.key("IPAM").begin_object().key("Driver").string(record.ipam_driver);
    write_map(json, "Options", record.ipam_options, record.is_builtin());
    json.key("Config").begin_array();
    for (const IpamConfig& config : record.ipam) {
        json.begin_object().key("Subnet").string(config.subnet);
        if (!config.ip_range.empty()) {
            json.key("IPRange").string(config.ip_range);
        }
        json.key("Gateway").string(config.gateway);
        if (!config.auxiliary_addresses.empty()) {
            write_map(json, "AuxiliaryAddresses", config.auxiliary_addresses);
        }
        json.end_object();
    }
    json.end_array().end_object();
}

std::string with_prefix(const IpAddress& address, unsigned prefix) {
    return address.unset() ? "" : address.str() + "/" + std::to_string(prefix);
}

void write_members(JsonWriter& json, const Network& network, bool with_members) {
    json.key("Containers").begin_object();
    for (const auto& [id, member] : network.members) {
        if (!with_members) {
            break;
        }
        json.key(id.str()).begin_object().key("Name").string(member.container_name);
        json.key("EndpointID").string(member.endpoint.str());
        json.key("MacAddress").string(member.mac);
        json.key("IPv4Address").string(with_prefix(member.address, member.prefix));
        json.key("IPv6Address").string(with_prefix(member.address6, member.prefix6)).end_object();
    }
    json.end_object();
}

Result<IpamConfig> ipam_parse(const JsonValue& json) {
    IpamConfig config;
    TRY(config.subnet, json.string_or("Subnet", ""));
    TRY(config.ip_range, json.string_or("IPRange", ""));
    TRY(config.gateway, json.string_or("Gateway", ""));
    for (const std::string_view key : {"AuxiliaryAddresses", "AuxAddress"}) {
        TRY(const auto addresses, json.string_map(key));
        config.auxiliary_addresses.insert(addresses.begin(), addresses.end());
    }
    return config;
}

}  // namespace

void network_write(JsonWriter& json, const Network& network, bool with_members) {
    const NetworkRecord& record = network.record;
    json.begin_object().key("Name").string(record.name).key("Id").string(record.id.str());
    json.key("Created").string(rfc3339_nano(record.created)).key("Scope").string("local");
    json.key("Driver").string(record.driver).key("EnableIPv4").boolean(true);
    json.key("EnableIPv6").boolean(record.enable_ipv6);
    write_ipam(json, record);
    json.key("Internal").boolean(record.internal).key("Attachable").boolean(record.attachable);
    json.key("Ingress").boolean(false).key("ConfigFrom").begin_object();
    json.key("Network").string("").end_object().key("ConfigOnly").boolean(false);
    write_members(json, network, with_members);
    write_map(json, "Options", record.options);
    write_map(json, "Labels", record.labels);
    json.end_object();
}

Result<NetworkCreateRequest> network_create_parse(std::string_view body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    NetworkCreateRequest request;
    NetworkRecord& record = request.record;
    TRY(record.name, root.string_or("Name", ""));
    TRY(record.driver, root.string_or("Driver", ""));
    if (record.driver.empty() || record.driver == "default") {
        record.driver = "bridge";
    }
    TRY(const bool enable_ipv4, root.bool_or("EnableIPv4", true));
    if (!enable_ipv4) {
        return Error(ErrorKind::unsupported,
                     "EnableIPv4 false is not supported by davit yet: leave --ipv4=false out");
    }
    TRY(record.enable_ipv6, root.bool_or("EnableIPv6", false));
    TRY(record.internal, root.bool_or("Internal", false));
    TRY(record.attachable, root.bool_or("Attachable", false));
    TRY(request.ingress, root.bool_or("Ingress", false));
    TRY(request.config_only, root.bool_or("ConfigOnly", false));
    TRY(const JsonValue config_from, root.object("ConfigFrom"));
    TRY(request.config_from, config_from.string_or("Network", ""));
    TRY(const std::string scope, root.string_or("Scope", ""));
    if (!scope.empty() && scope != "local") {
        return Error(ErrorKind::invalid_argument,
                     "invalid network scope '" + scope + "': davit has networks of scope local");
    }
    TRY(const JsonValue ipam, root.object("IPAM"));
    TRY(record.ipam_driver, ipam.string_or("Driver", "default"));
    if (record.ipam_driver.empty()) {
        record.ipam_driver = "default";
    }
    TRY(record.ipam_options, ipam.string_map("Options"));
    TRY(const JsonValue configs, ipam.array("Config"));
    TRY(const std::vector<JsonValue> items, configs.as_array());
    for (const JsonValue& item : items) {
        TRY(IpamConfig config, ipam_parse(item));
        record.ipam.push_back(std::move(config));
    }
    TRY(record.options, root.string_map("Options"));
    TRY(record.labels, root.string_map("Labels"));
    return request;
}

}  // namespace davit
