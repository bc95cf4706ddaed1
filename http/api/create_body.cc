#include "http/api/create_body.h"

#include <algorithm>
#include <array>

#include "http/json_reader.h"

namespace davit {

namespace {

/// Before their versions the keys did not exist, or meant something else.
void version_apply(HostConfig& config, ApiVersion version) {
    if (version < ApiVersion{1, 25}) {
        config.auto_remove = false;  // Such clients remove the container themselves.
    }
    if (version < ApiVersion{1, 40} && config.ipc_mode.empty()) {
        config.ipc_mode = "shareable";
    }
    if (version < ApiVersion{1, 42}) {
        config.console_size = {};
        for (MountRequest& mount : config.mounts) {
            // Options of another type than the mount's were ignored.
            mount.has_volume_options = mount.has_image_options = false;
            if (mount.type == "bind") {
                mount.tmpfs_options.reset();
            } else {
                mount.bind_options.reset();
            }
        }
    }
}

/// Null, "", [], {}, 0, or an object of nothing but those.
bool is_blank(const JsonValue& value) {
    if (value.is(JsonValue::Type::object)) {
        const auto members = value.as_object();
        return members && std::ranges::all_of(
                              *members, [](const auto& member) { return is_blank(member.second); });
    }
    static constexpr std::array<std::string_view, 5> blank{"null", "\"\"", "[]", "0", "false"};
    return std::ranges::find(blank, value.to_json()) != blank.end();
}

/// What an endpoint may ask for. The other keys (IPAddress, ...) tell what it got; Docker ignores
/// them.
Result<void> endpoint_check(std::string_view network, const JsonValue& endpoint) {
    static constexpr auto settings = std::to_array<std::string_view>(
        {"IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority"});
    for (const std::string_view key : settings) {
        const JsonValue value = endpoint.member(key);
        if (!is_blank(value)) {
            return Error(ErrorKind::unsupported,
                         "NetworkingConfig.EndpointsConfig." + std::string(network) + "." +
                             std::string(key) + " " + value.to_json() +
                             " is not supported by davit yet: leave it out");
        }
    }
    return ok;
}

std::string_view network_name(std::string_view mode) {
    return mode.empty() || mode == "default" ? "bridge" : mode;
}

Result<void> networks_check(const JsonValue& networking,
                            const HostConfig& config,
                            ApiVersion version) {
    TRY(const JsonValue endpoints, networking.object("EndpointsConfig"));
    TRY(const auto members, endpoints.as_object());
    if (members.size() > 1 && version < ApiVersion{1, 44}) {
        return Error(ErrorKind::invalid_argument,
                     "Container cannot be connected to network endpoints: " +
                         std::string(members[0].first) + ", " + std::string(members[1].first));
    }
    for (const auto& [network, endpoint] : members) {
        if (network_name(network) != network_name(config.network_mode)) {
            return Error(ErrorKind::unsupported,
                         "network \"" + std::string(network) +
                             "\" is not supported by davit yet: use --network none or host");
        }
        TRY_VOID(endpoint_check(network, endpoint));
    }
    return ok;
}

}  // namespace

Result<ContainerCreateBody> container_create_body_parse(std::string_view body, ApiVersion version) {
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        return Error(ErrorKind::invalid_argument,
                     "config cannot be empty in order to create a container");
    }
    TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    ContainerCreateBody result;
    TRY(result.config, container_config_parse(root));
    TRY(const JsonValue host_config, root.object("HostConfig"));
    TRY(result.host_config, host_config_parse(host_config));
    TRY(const JsonValue networking, root.object("NetworkingConfig"));
    TRY_VOID(networks_check(networking, result.host_config, version));
    version_apply(result.host_config, version);
    return result;
}

}  // namespace davit
