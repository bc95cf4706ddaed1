#include "http/api/create_body.h"

#include <algorithm>

#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit {

namespace {

/// Options of another type than the mount's were ignored before 1.42.
void foreign_options_drop(MountRequest& mount) {
    if (mount.type != "bind") {
        mount.bind_options.reset();
    }
    if (mount.type != "volume") {
        mount.volume_options.reset();
    }
    if (mount.type != "tmpfs") {
        mount.tmpfs_options.reset();
    }
}

/// What a mount may not ask for in the words of an older version.
Result<void> mount_version_check(MountRequest& mount, ApiVersion version) {
    if (version < ApiVersion{1, 40} && mount.bind_options) {
        mount.bind_options->non_recursive = false;
    }
    if (version < ApiVersion{1, 42}) {
        foreign_options_drop(mount);
        if (mount.bind_options) {
            mount.bind_options->create_mountpoint = false;
        }
    }
    if (version < ApiVersion{1, 46} && mount.tmpfs_options) {
        mount.tmpfs_options->options.clear();
    }
    if (version < ApiVersion{1, 44} && mount.bind_options) {
        mount.bind_options->read_only_non_recursive = false;
        if (mount.bind_options->read_only_force_recursive) {
            return Error(ErrorKind::invalid_argument,
                         "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
        }
    }
    if (version < ApiVersion{1, 45} && mount.volume_options &&
        !mount.volume_options->subpath.empty()) {
        return Error(ErrorKind::invalid_argument, "VolumeOptions.Subpath needs API v1.45 or newer");
    }
    if (version < ApiVersion{1, 48} && mount.type == "image") {
        return Error(ErrorKind::invalid_argument, "Mount type \"Image\" needs API v1.48 or newer");
    }
    return ok;
}

/// Before their versions the keys did not exist, or meant something else. Follows: moby
/// api/server/router/container, postContainersCreate().
Result<void> version_apply(HostConfig& config, ApiVersion version) {
    if (version < ApiVersion{1, 25}) {
        config.auto_remove = false;  // Such clients remove the container themselves.
    }
    if (version < ApiVersion{1, 40} && config.ipc_mode.empty()) {
        config.ipc_mode = "shareable";
    }
    if (version < ApiVersion{1, 42}) {
        config.console_size = {};
    }
    kernel_memory_forget(config, version);
    if (version < ApiVersion{1, 43}) {
        config.annotations.clear();
    }
    for (MountRequest& mount : config.mounts) {
        TRY_VOID(mount_version_check(mount, version));
    }
    return ok;
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

/// Takes: path: the names on the way to the value, each after a slash.
Result<void> meaning_write(JsonWriter& json, const JsonValue& value, const std::string& path) {
    if (value.is(JsonValue::Type::array)) {
        TRY(const std::vector<JsonValue> items, value.as_array());
        json.begin_array();
        for (const JsonValue& item : items) {
            TRY_VOID(meaning_write(json, item, path + "/"));
        }
        json.end_array();
        return ok;
    }
    if (!value.is(JsonValue::Type::object)) {
        json.raw(value.to_json());
        return ok;
    }
    TRY(auto members, value.as_object());
    std::ranges::stable_sort(members, {}, [](const auto& member) { return member.first; });
    json.begin_object();
    for (const auto& [name, member] : members) {
        const std::string at = path + "/" + std::string(name);
        if (at != "/HostConfig/ConsoleSize") {
            json.key(name);
            TRY_VOID(meaning_write(json, member, at));
        }
    }
    json.end_object();
    return ok;
}

}  // namespace

void kernel_memory_forget(HostConfig& config, ApiVersion version) {
    if (version >= ApiVersion{1, 42}) {
        std::erase_if(config.unsupported,
                      [](const UnsupportedOption& option) { return option.key == "KernelMemory"; });
    }
}

Result<std::string> container_create_body_meaning(std::string_view body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    std::string text;
    JsonWriter json(text);
    TRY_VOID(meaning_write(json, document.root(), ""));
    return text;
}

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
    TRY_VOID(version_apply(result.host_config, version));
    if (version < ApiVersion{1, 44} && result.config.healthcheck) {
        result.config.healthcheck->start_interval_ns = 0;
    }
    return result;
}

}  // namespace davit
