#include "jobs/network/record.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "jobs/container/json_fields.h"

namespace davit {

namespace {

constexpr std::int64_t record_version = 1;

}  // namespace

template <typename V>
void fields(V& visit, FieldOf<V, IpamConfig>& config) {
    visit("Subnet", config.subnet);
    visit("IPRange", config.ip_range, WhenEmpty::omit);
    visit("Gateway", config.gateway);
    visit("AuxiliaryAddresses", config.auxiliary_addresses, WhenEmpty::omit);
}

Result<void> field_read(const JsonValue& json, NetworkId& id) {
    TRY(const std::string_view text, json.as_string());
    TRY(id, NetworkId::parse(text));
    return ok;
}

void field_write(JsonWriter& json, const NetworkId& id) {
    json.string(id.str());
}

template <typename V>
void fields(V& visit, FieldOf<V, NetworkRecord>& record) {
    visit("Id", record.id);
    visit("Name", record.name);
    visit("Created", record.created);
    visit("Driver", record.driver);
    visit("EnableIPv6", record.enable_ipv6);
    visit("Internal", record.internal);
    visit("Attachable", record.attachable);
    visit("IpamDriver", record.ipam_driver);
    visit("IpamOptions", record.ipam_options);
    visit("Ipam", record.ipam);
    visit("SubnetAsked", record.subnet_asked);
    visit("Subnet6Asked", record.subnet6_asked, WhenEmpty::omit);
    visit("Options", record.options);
    visit("Labels", record.labels);
    visit("Number", record.number);
    visit("Interface", record.interface);
}

bool NetworkRecord::is_builtin() const {
    static constexpr std::array<std::string_view, 3> names{"bridge", "host", "none"};
    return std::ranges::find(names, name) != names.end();
}

std::string NetworkRecord::option(const std::string& key) const {
    const auto found = options.find(key);
    return found == options.end() ? "" : found->second;
}

bool NetworkRecord::option_bool(const std::string& key, bool fallback) const {
    const auto found = options.find(key);
    if (found == options.end()) {
        return fallback;
    }
    return found->second == "true" || found->second == "1" || found->second == "True" ||
           found->second == "TRUE" || found->second == "t" || found->second == "T";
}

std::string network_record_write(const NetworkRecord& record) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("Version").number(record_version);
    FieldWriter writer(json);
    fields(writer, record);
    json.end_object();
    return text;
}

Result<NetworkRecord> network_record_read(std::string_view text) {
    const auto corrupt = [](Error error) {
        return std::move(error).context("network record").with_kind(ErrorKind::corrupt);
    };
    auto document = JsonDocument::parse(text);
    if (!document) {
        return corrupt(std::move(document).error());
    }
    TRY(const std::int64_t version, document->root().int64_or("Version", 0));
    if (version > record_version) {
        return Error(ErrorKind::unsupported, "a network record of a later davit");
    }
    NetworkRecord record;
    FieldReader reader(document->root());
    fields(reader, record);
    if (auto read = std::move(reader).result(); !read) {
        return corrupt(std::move(read).error());
    }
    if (record.id.empty() || record.name.empty()) {
        return corrupt(Error(ErrorKind::corrupt, "id or name is missing"));
    }
    return record;
}

Result<std::vector<IpAddress>> reserved_addresses(const IpamConfig& config) {
    std::vector<IpAddress> addresses;
    if (!config.gateway.empty()) {
        TRY(addresses.emplace_back(), IpAddress::parse(config.gateway));
    }
    for (const auto& [name, text] : config.auxiliary_addresses) {
        TRY(addresses.emplace_back(), IpAddress::parse(text));
    }
    return addresses;
}

Result<NetworkSpec> network_spec(const NetworkRecord& record) {
    NetworkSpec spec;
    spec.id = record.id;
    spec.number = record.number;
    spec.kind = record.driver;
    spec.interface = record.interface;
    spec.isolated = record.isolated();
    if (record.hangs()) {
        spec.mode = record.option(record.driver + "_mode");
        spec.flag = record.option(option_ipvlan_flag);
    }
    if (record.ipam.empty()) {
        return Error(ErrorKind::corrupt, "network " + record.name + " has no subnet");
    }
    for (const IpamConfig& config : record.ipam) {
        TRY((config.is_v6() ? spec.subnet6 : spec.subnet), Subnet::parse(config.subnet));
        TRY((config.is_v6() ? spec.gateway6 : spec.gateway), IpAddress::parse(config.gateway));
    }
    spec.internal = record.internal;
    spec.icc = record.option_bool(option_icc, true);
    spec.direct = record.option_bool(option_direct, true);
    spec.masquerade = record.option_bool(option_masquerade, true) && !record.internal;
    if (const auto mtu = record.options.find(option_mtu); mtu != record.options.end()) {
        const char* end = mtu->second.data() + mtu->second.size();
        static_cast<void>(std::from_chars(mtu->second.data(), end, spec.mtu));
    }
    return spec;
}

}  // namespace davit
