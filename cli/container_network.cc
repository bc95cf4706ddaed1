// -p, --expose, --network and its companions as members of the create request.
#include <array>

#include <fmt/format.h>

#include "cli/container_request.h"
#include "cli/invalid.h"
#include "cli/units.h"

namespace davit::cli {

namespace {

/// "80" or "80-90".
struct PortRange {
    std::int64_t first = 0;
    std::int64_t last = 0;

    std::int64_t count() const { return last - first + 1; }
};

Result<PortRange> port_range_parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    const Result<std::int64_t> first = integer_parse(text.substr(0, dash));
    const Result<std::int64_t> last =
        dash == std::string_view::npos ? first : integer_parse(text.substr(dash + 1));
    if (!first || !last || *first < 0 || *last > 65535 || *last < *first) {
        return invalid(fmt::format("invalid port: {}", text));
    }
    return PortRange{*first, *last};
}

/// Splits "/udp" off the end; "tcp" without one.
Result<std::string_view> protocol_take(std::string_view& text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        return std::string_view("tcp");
    }
    const std::string_view protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
        return invalid(fmt::format("invalid proto: {}", protocol));
    }
    text = text.substr(0, slash);
    return protocol;
}

/// A --network: a name, or name=...,alias=...,ip=...
struct NetworkOption {
    std::string name;
    std::vector<std::string> aliases;
    std::vector<std::string> links;
    std::string ip;
    std::string ip6;
    std::string mac_address;
    KeyValues driver_options;

    bool plain() const {
        return aliases.empty() && links.empty() && ip.empty() && ip6.empty() &&
               mac_address.empty() && driver_options.values.empty();
    }
};

Result<NetworkOption> network_parse(std::string_view text) {
    NetworkOption network;
    if (text.find('=') == std::string_view::npos) {
        network.name = text;
        return network;
    }
    TRY(const std::vector<std::string> fields, csv_split(text));
    for (const std::string& field : fields) {
        const std::size_t equals = field.find('=');
        if (equals == std::string::npos) {
            return invalid(fmt::format("invalid field {} must be a key=value pair", field));
        }
        const std::string_view key = std::string_view(field).substr(0, equals);
        const std::string value = field.substr(equals + 1);
        if (key == "name") {
            network.name = value;
        } else if (key == "alias") {
            network.aliases.push_back(value);
        } else if (key == "ip") {
            network.ip = value;
        } else if (key == "ip6") {
            network.ip6 = value;
        } else if (key == "mac-address") {
            network.mac_address = value;
        } else if (key == "driver-opt") {
            TRY_VOID(flag_set(value, network.driver_options));
        } else {
            return invalid(fmt::format("invalid field key {}", key));
        }
    }
    if (network.name.empty()) {
        return invalid("network name is required");
    }
    return network;
}

/// Names that a user gave to a network, as opposed to what the engine brings.
bool is_user_defined(std::string_view name) {
    return name != "default" && name != "bridge" && name != "host" && name != "none" &&
           !name.starts_with("container:");
}

/// The networks in order; flags that name none (--ip, --network-alias) belong to the first.
Result<std::vector<NetworkOption>> networks_parse(const CreateOptions& options) {
    std::vector<NetworkOption> networks;
    for (const std::string& text : options.networks) {
        TRY(NetworkOption network, network_parse(text));
        networks.push_back(std::move(network));
    }
    if (networks.empty()) {
        networks.emplace_back().name = "default";
    }
    NetworkOption& first = networks.front();
    if (!options.network_aliases.empty() && !is_user_defined(first.name)) {
        return invalid("network-scoped aliases are only supported for user-defined networks");
    }
    first.aliases.insert(
        first.aliases.end(), options.network_aliases.begin(), options.network_aliases.end());
    if (is_user_defined(first.name)) {
        first.links = options.links;
    }
    const std::array<std::pair<const std::string*, std::string*>, 3> addresses{
        {{&options.ip, &first.ip},
         {&options.ip6, &first.ip6},
         {&options.mac_address, &first.mac_address}}};
    for (const auto& [given, slot] : addresses) {
        if (!given->empty()) {
            *slot = *given;
        }
    }
    return networks;
}

/// host:ip or host=ip, as host:ip.
Result<std::string> extra_host_make(const std::string& text) {
    const std::size_t place = text.find_first_of("=:");
    if (place == std::string::npos || place == 0 || place + 1 == text.size()) {
        return invalid(
            fmt::format("invalid argument \"{0}\" for \"--add-host\" flag: bad format for "
                        "add-host: \"{0}\"",
                        text));
    }
    std::string_view address = std::string_view(text).substr(place + 1);
    if (address.starts_with('[') && address.ends_with(']')) {
        address = address.substr(1, address.size() - 2);
    }
    return fmt::format("{}:{}", text.substr(0, place), address);
}

}  // namespace

Result<PortOptions> PortOptions::parse(const CreateOptions& options) {
    PortOptions ports;
    for (const std::string& text : options.publish) {
        TRY_VOID(ports.publish(text));
    }
    for (const std::string& text : options.expose) {
        TRY_VOID(ports.expose(text));
    }
    return ports;
}

Result<void> PortOptions::expose(std::string_view text) {
    std::string_view rest = text;
    TRY(const std::string_view protocol, protocol_take(rest));
    if (rest.find(':') != std::string_view::npos) {
        return invalid(fmt::format("invalid port format for --expose: {}", text));
    }
    TRY(const PortRange range, port_range_parse(rest));
    for (std::int64_t port = range.first; port <= range.last; ++port) {
        ports_[fmt::format("{}/{}", port, protocol)];
    }
    return ok;
}

Result<void> PortOptions::publish(std::string_view text) {
    std::string_view rest = text;
    TRY(const std::string_view protocol, protocol_take(rest));
    const std::size_t last_colon = rest.rfind(':');
    std::string_view host;
    std::string_view host_ip;
    if (last_colon != std::string_view::npos) {
        host = rest.substr(0, last_colon);
        rest = rest.substr(last_colon + 1);
        const std::size_t ip_colon = host.rfind(':');
        if (ip_colon != std::string_view::npos) {
            host_ip = host.substr(0, ip_colon);
            host = host.substr(ip_colon + 1);
            if (host_ip.starts_with('[') && host_ip.ends_with(']')) {
                host_ip = host_ip.substr(1, host_ip.size() - 2);
            } else if (host_ip.find(':') != std::string_view::npos) {
                return invalid(fmt::format("invalid publish format: {}", text));
            }
        }
    }
    TRY(const PortRange inside, port_range_parse(rest));
    PortRange outside{};
    if (!host.empty()) {
        TRY(outside, port_range_parse(host));
        if (outside.count() != inside.count() && inside.count() != 1) {
            return invalid(fmt::format(
                "invalid ranges specified for container and host Ports: {} and {}", rest, host));
        }
    }
    for (std::int64_t offset = 0; offset < inside.count(); ++offset) {
        Binding binding{std::string(host_ip), std::string(host)};
        if (!host.empty() && inside.count() == outside.count()) {
            binding.host_port = std::to_string(outside.first + offset);
        }
        ports_[fmt::format("{}/{}", inside.first + offset, protocol)].push_back(std::move(binding));
    }
    return ok;
}

void PortOptions::exposed_write(JsonWriter& json) const {
    if (ports_.empty()) {
        return;
    }
    json.key("ExposedPorts").begin_object();
    for (const auto& [port, bindings] : ports_) {
        json.key(port).begin_object().end_object();
    }
    json.end_object();
}

void PortOptions::bindings_write(JsonWriter& json) const {
    bool open = false;
    for (const auto& [port, bindings] : ports_) {
        if (bindings.empty()) {
            continue;
        }
        if (!open) {
            json.key("PortBindings").begin_object();
            open = true;
        }
        json.key(port).begin_array();
        for (const Binding& binding : bindings) {
            json.begin_object().key("HostIp").string(binding.host_ip);
            json.key("HostPort").string(binding.host_port).end_object();
        }
        json.end_array();
    }
    if (open) {
        json.end_object();
    }
}

Result<void> host_network_write(JsonWriter& json, const CreateOptions& options) {
    TRY(const std::vector<NetworkOption> networks, networks_parse(options));
    if (!options.networks.empty()) {
        json.key("NetworkMode").string(networks.front().name);
    }
    if (!is_user_defined(networks.front().name)) {
        json_strings_if(json, "Links", options.links);
    }
    json_bool_if(json, "PublishAllPorts", options.publish_all);
    json_strings_if(json, "Dns", options.dns);
    json_strings_if(json, "DnsOptions", options.dns_options);
    json_strings_if(json, "DnsSearch", options.dns_search);
    std::vector<std::string> hosts;
    for (const std::string& text : options.add_host) {
        TRY(std::string host, extra_host_make(text));
        hosts.push_back(std::move(host));
    }
    json_strings_if(json, "ExtraHosts", hosts);
    return ok;
}

Result<void> endpoints_write(JsonWriter& json, const CreateOptions& options) {
    TRY(const std::vector<NetworkOption> networks, networks_parse(options));
    if (networks.size() == 1 && networks.front().plain()) {
        return ok;
    }
    json.key("NetworkingConfig").begin_object().key("EndpointsConfig").begin_object();
    for (const NetworkOption& network : networks) {
        json.key(network.name).begin_object();
        json_strings_if(json, "Aliases", network.aliases);
        json_strings_if(json, "Links", network.links);
        json_string_if(json, "MacAddress", network.mac_address);
        json_map_if(json, "DriverOpts", network.driver_options);
        if (!network.ip.empty() || !network.ip6.empty()) {
            json.key("IPAMConfig").begin_object();
            json_string_if(json, "IPv4Address", network.ip);
            json_string_if(json, "IPv6Address", network.ip6);
            json.end_object();
        }
        json.end_object();
    }
    json.end_object().end_object();
    return ok;
}

}  // namespace davit::cli
