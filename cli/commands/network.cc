// davit network create, connect, disconnect, rm, prune
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_options.h"
#include "cli/container_request.h"
#include "cli/list_printer.h"
#include "cli/prune.h"
#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit::cli {

namespace {

std::string network_path(std::string_view network, std::string_view verb = "") {
    return "/networks/" + percent_encode(network) + (verb.empty() ? "" : "/") + std::string(verb);
}

struct CreateNetworkOptions {
    std::string driver = "bridge";
    std::vector<std::string> subnets;
    std::vector<std::string> gateways;
    std::vector<std::string> ranges;
    KeyValues auxiliary;
    std::string ipam_driver = "default";
    KeyValues ipam_options;
    KeyValues labels;
    KeyValues options;
    bool internal = false;
    bool attachable = false;
    std::optional<bool> ipv6;
    std::optional<bool> ipv4;
    bool ingress = false;
    bool config_only = false;
    std::string config_from;
    std::string scope;
};

using O = CreateNetworkOptions;

constexpr Flag create_flags_table[] = {
    flag<O, &O::attachable>("attachable", 0, "", "Let containers be attached by hand"),
    flag<O, &O::auxiliary>("aux-address", 0, "map", "Further addresses that are taken (name=ip)"),
    flag<O, &O::config_from>("config-from", 0, "string", "Network to copy the configuration of"),
    flag<O, &O::config_only>("config-only", 0, "", "Make a configuration only"),
    flag<O, &O::driver>("driver", 'd', "string", "Driver of the network (default \"bridge\")"),
    flag<O, &O::gateways>("gateway", 0, "strings", "Gateway of the subnet"),
    flag<O, &O::ingress>("ingress", 0, "", "Make a swarm's routing mesh"),
    flag<O, &O::internal>("internal", 0, "", "No way out of the network"),
    flag<O, &O::ranges>("ip-range", 0, "strings", "Give out addresses of this part only"),
    flag<O, &O::ipam_driver>("ipam-driver", 0, "string", "Driver of the addresses"),
    flag<O, &O::ipam_options>("ipam-opt", 0, "map", "Options of that driver"),
    flag<O, &O::ipv4>("ipv4", 0, "", "IPv4 addresses (default true)"),
    flag<O, &O::ipv6>("ipv6", 0, "", "IPv6 addresses"),
    flag<O, &O::labels>("label", 0, "list", "Set a label"),
    flag<O, &O::options>("opt", 'o', "map", "Options of the driver"),
    flag<O, &O::scope>("scope", 0, "string", "Scope of the network"),
    flag<O, &O::subnets>("subnet", 0, "strings", "Subnet in CIDR form"),
};

void write_map(JsonWriter& json, std::string_view key, const KeyValues& map) {
    if (!map.values.empty()) {
        json.key(key).string_map(map.values);
    }
}

bool is_v6(std::string_view text) {
    return text.find(':') != std::string_view::npos;
}

/// What of the values is of the subnet's family: it belongs to that, and the daemon says if it is
/// not inside. what: "gateway", "range".
Result<std::string> of_family(const std::vector<std::string>& values,
                              const std::string& subnet,
                              std::string_view what) {
    std::string found;
    for (const std::string& value : values) {
        if (is_v6(value) != is_v6(subnet)) {
            continue;
        }
        if (!found.empty()) {
            return Error(ErrorKind::invalid_argument,
                         fmt::format("cannot configure multiple {}s ({}, {}) for the same subnet "
                                     "({})",
                                     what,
                                     value,
                                     found,
                                     subnet));
        }
        found = value;
    }
    return found;
}

/// That there is a subnet of a value's family.
Result<void> matching_check(const CreateNetworkOptions& options,
                            const std::string& value,
                            std::string_view what) {
    for (const std::string& subnet : options.subnets) {
        if (is_v6(subnet) == is_v6(value)) {
            return ok;
        }
    }
    return Error(ErrorKind::invalid_argument,
                 fmt::format("no matching subnet for {} {}", what, value));
}

Result<void> ipam_check(const CreateNetworkOptions& options) {
    if (options.subnets.empty() && (!options.gateways.empty() || !options.ranges.empty())) {
        return Error(ErrorKind::invalid_argument,
                     "every ip-range or gateway must have a corresponding subnet");
    }
    for (const std::string& range : options.ranges) {
        TRY_VOID(matching_check(options, range, "range"));
    }
    for (const std::string& gateway : options.gateways) {
        TRY_VOID(matching_check(options, gateway, "gateway"));
    }
    for (const auto& [name, address] : options.auxiliary.values) {
        TRY_VOID(matching_check(options, address, "aux-address"));
    }
    return ok;
}

Result<void> subnet_write(JsonWriter& json,
                          const CreateNetworkOptions& options,
                          const std::string& subnet) {
    TRY(const std::string range, of_family(options.ranges, subnet, "range"));
    TRY(const std::string gateway, of_family(options.gateways, subnet, "gateway"));
    KeyValues auxiliary;
    for (const auto& [name, address] : options.auxiliary.values) {
        if (is_v6(address) == is_v6(subnet)) {
            auxiliary.values.emplace(name, address);
        }
    }
    json.begin_object().key("Subnet").string(subnet);
    json_string_if(json, "IPRange", range);
    json_string_if(json, "Gateway", gateway);
    write_map(json, "AuxiliaryAddresses", auxiliary);
    json.end_object();
    return ok;
}

Result<void> ipam_write(JsonWriter& json, const CreateNetworkOptions& options) {
    TRY_VOID(ipam_check(options));
    json.key("IPAM").begin_object().key("Driver").string(options.ipam_driver);
    write_map(json, "Options", options.ipam_options);
    json.key("Config").begin_array();
    for (const std::string& subnet : options.subnets) {
        TRY_VOID(subnet_write(json, options, subnet));
    }
    json.end_array().end_object();
    return ok;
}

Task<int> create(Context& context, CreateNetworkOptions options, Arguments arguments) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Name").string(arguments.front());
    json.key("Driver").string(options.driver);
    CO_CHECK(ipam_write(json, options));
    json.key("Internal").boolean(options.internal).key("Attachable").boolean(options.attachable);
    json.key("Ingress").boolean(options.ingress).key("ConfigOnly").boolean(options.config_only);
    if (!options.config_from.empty()) {
        co_return Error(ErrorKind::unsupported, "--config-from is not supported by davit yet");
    }
    if (!options.scope.empty()) {
        json.key("Scope").string(options.scope);
    }
    if (options.ipv6) {
        json.key("EnableIPv6").boolean(*options.ipv6);
    }
    if (options.ipv4) {
        json.key("EnableIPv4").boolean(*options.ipv4);
    }
    write_map(json, "Options", options.options);
    write_map(json, "Labels", options.labels);
    json.end_object();
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", "/networks/create"};
    call.body = std::move(body);
    CO_TRY(const std::string answer, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(answer));
    CO_TRY(const std::string id, document.root().string_or("Id", ""));
    context.out.line(id);
    co_return 0;
}

struct ConnectOptions {
    std::vector<std::string> aliases;
    std::string ip;
    std::string ip6;
    std::vector<std::string> links;
    KeyValues driver_options;
    std::optional<std::int64_t> gw_priority;
};

constexpr Flag connect_flags[] = {
    flag<ConnectOptions, &ConnectOptions::aliases>(
        "alias", 0, "strings", "Another name on the network"),
    flag<ConnectOptions, &ConnectOptions::driver_options>(
        "driver-opt", 0, "strings", "Options of the driver"),
    flag<ConnectOptions, &ConnectOptions::gw_priority>(
        "gw-priority", 0, "int", "Its gateway is the container's if it is the highest"),
    flag<ConnectOptions, &ConnectOptions::ip>("ip", 0, "string", "IPv4 address"),
    flag<ConnectOptions, &ConnectOptions::ip6>("ip6", 0, "string", "IPv6 address"),
    flag<ConnectOptions, &ConnectOptions::links>("link", 0, "list", "Link to another container"),
};

Task<int> connect(Context& context, ConnectOptions options, Arguments arguments) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Container").string(arguments[1]);
    json.key("EndpointConfig").begin_object().key("Aliases").strings(options.aliases);
    json.key("Links").strings(options.links);
    json.key("IPAMConfig").begin_object().key("IPv4Address").string(options.ip);
    json.key("IPv6Address").string(options.ip6).end_object();
    write_map(json, "DriverOpts", options.driver_options);
    json.key("GwPriority").number(options.gw_priority.value_or(0));
    json.end_object().end_object();
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", network_path(arguments[0], "connect")};
    call.body = std::move(body);
    CO_TRY(const std::string answer, co_await api->call(std::move(call)));
    co_return 0;
}

struct DisconnectOptions {
    bool force = false;
};

constexpr Flag disconnect_flags[] = {
    flag<DisconnectOptions, &DisconnectOptions::force>("force", 'f', "", "Disconnect by force"),
};

Task<int> disconnect(Context& context, DisconnectOptions options, Arguments arguments) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Container").string(arguments[1]);
    json.key("Force").boolean(options.force).end_object();
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", network_path(arguments[0], "disconnect")};
    call.body = std::move(body);
    CO_TRY(const std::string answer, co_await api->call(std::move(call)));
    co_return 0;
}

struct RemoveNetworkOptions {
    bool force = false;
};

constexpr Flag remove_flags[] = {
    flag<RemoveNetworkOptions, &RemoveNetworkOptions::force>(
        "force", 'f', "", "Do not complain about networks that are not there"),
};

/// One after the other, each with its name or its error, as docker does.
Task<int> remove(Context& context, RemoveNetworkOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    int code = 0;
    for (const std::string& network : arguments) {
        ApiCall call{"DELETE", network_path(network)};
        const Result<std::string> answer = co_await api->call(std::move(call));
        if (answer) {
            context.out.line(network);
        } else if (!options.force || answer.error().kind() != ErrorKind::not_found) {
            context.err.line(answer.error().message());
            code = exit_failure;
        }
    }
    co_return code;
}

struct PruneNetworksOptions {
    std::vector<std::string> filters;
    bool force = false;
};

constexpr Flag prune_flags[] = {
    flag<PruneNetworksOptions, &PruneNetworksOptions::filters>(
        "filter", 0, "filter", "Remove only what fulfils key=value (until, label, label!)"),
    flag<PruneNetworksOptions, &PruneNetworksOptions::force>("force", 'f', "", "Do not ask"),
};

Task<int> prune(Context& context, PruneNetworksOptions options, Arguments /*arguments*/) {
    if (!options.force) {
        CO_CHECK(co_await prune_confirm(
            context, " all custom networks not used by at least one container.", "network prune"));
    }
    CO_CHECK(co_await prune_run(context, prune_networks, std::move(options.filters)));
    co_return 0;
}

}  // namespace

constexpr Command network_create_command{
    .group = "network",
    .group_names = "create",
    .usage = "[OPTIONS] NETWORK",
    .summary = "Make a network",
    .count = {.min = 1, .max = 1},
    .flags = create_flags_table,
    .body = command_body<CreateNetworkOptions, create>,
};

constexpr Command network_connect_command{
    .group = "network",
    .group_names = "connect",
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .summary = "Put a container into a network",
    .count = {.min = 2, .max = 2},
    .flags = connect_flags,
    .body = command_body<ConnectOptions, connect>,
};

constexpr Command network_disconnect_command{
    .group = "network",
    .group_names = "disconnect",
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .summary = "Take a container out of a network",
    .count = {.min = 2, .max = 2},
    .flags = disconnect_flags,
    .body = command_body<DisconnectOptions, disconnect>,
};

constexpr Command network_rm_command{
    .group = "network",
    .group_names = "rm remove",
    .usage = "[OPTIONS] NETWORK [NETWORK...]",
    .summary = "Remove one or more networks",
    .count = {.min = 1},
    .flags = remove_flags,
    .body = command_body<RemoveNetworkOptions, remove>,
};

constexpr Command network_prune_command{
    .group = "network",
    .group_names = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove the networks that no container uses",
    .count = {.max = 0},
    .flags = prune_flags,
    .body = command_body<PruneNetworksOptions, prune>,
};

}  // namespace davit::cli
