#include "http/api/create_body.h"

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

Result<std::map<std::string, EndpointSettings>> endpoints_parse(const JsonValue& networking,
                                                                ApiVersion version) {
    TRY(const JsonValue endpoints, networking.object("EndpointsConfig"));
    TRY(const auto members, endpoints.as_object());
    if (members.size() > 1 && version < ApiVersion{1, 44}) {
        return Error(ErrorKind::invalid_argument,
                     "Container cannot be connected to network endpoints: " +
                         std::string(members[0].first) + ", " + std::string(members[1].first));
    }
    std::map<std::string, EndpointSettings> settings;
    for (const auto& [network, endpoint] : members) {
        TRY(settings[std::string(network)], endpoint_settings_parse(endpoint));
    }
    return settings;
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
    TRY(result.endpoints, endpoints_parse(networking, version));
    version_apply(result.host_config, version);
    return result;
}

}  // namespace davit
