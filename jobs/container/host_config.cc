#include "jobs/container/host_config.h"

#include <algorithm>
#include <span>

#include "jobs/container/json_fields.h"
#include "libcontainer/defaults.h"

namespace davit {

template <typename V>
void fields(V& visit, FieldOf<V, LogConfig>& log) {
    visit("Type", log.type);
    visit("Config", log.config);
}

namespace {

template <typename V>
void binding_fields(V& visit, FieldOf<V, PortBinding>& binding) {
    visit("HostIp", binding.host_ip);
    visit("HostPort", binding.host_port);
}

}  // namespace

Result<void> field_read(const JsonValue& json, PortBinding& binding) {
    FieldReader reader(json);
    binding_fields(reader, binding);
    return std::move(reader).result();
}

void field_write(JsonWriter& json, const PortBinding& binding) {
    json.begin_object();
    FieldWriter writer(json);
    binding_fields(writer, binding);
    json.end_object();
}

template <typename V>
void fields(V& visit, FieldOf<V, RestartPolicy>& policy) {
    visit("Name", policy.name);
    visit("MaximumRetryCount", policy.maximum_retry_count);
}

template <typename V>
void fields(V& visit, FieldOf<V, Ulimit>& limit) {
    visit("Name", limit.name);
    visit("Hard", limit.hard);
    visit("Soft", limit.soft);
}

template <typename V>
void fields(V& visit, FieldOf<V, DeviceMapping>& mapping) {
    visit("PathOnHost", mapping.path_on_host);
    visit("PathInContainer", mapping.path_in_container);
    visit("CgroupPermissions", mapping.cgroup_permissions);
}

template <typename V>
void fields(V& visit, FieldOf<V, DeviceRequest>& request) {
    visit("Driver", request.driver);
    visit("Count", request.count);
    visit("DeviceIDs", request.device_ids, WhenEmpty::null);
    visit("Capabilities", request.capabilities, WhenEmpty::null);
    visit("Options", request.options, WhenEmpty::null);
}

template <typename V>
void fields(V& visit, FieldOf<V, DeviceWeight>& device) {
    visit("Path", device.path);
    visit("Weight", device.weight);
}

template <typename V>
void fields(V& visit, FieldOf<V, DeviceRate>& device) {
    visit("Path", device.path);
    visit("Rate", device.rate);
}

template <typename V>
void fields(V& visit, FieldOf<V, BindOptions>& options) {
    visit("Propagation", options.propagation, WhenEmpty::omit);
    visit("NonRecursive", options.non_recursive, WhenEmpty::omit);
    visit("CreateMountpoint", options.create_mountpoint, WhenEmpty::omit);
    visit("ReadOnlyNonRecursive", options.read_only_non_recursive, WhenEmpty::omit);
    visit("ReadOnlyForceRecursive", options.read_only_force_recursive, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, TmpfsOptions>& options) {
    visit("SizeBytes", options.size_bytes, WhenEmpty::omit);
    visit("Mode", options.mode, WhenEmpty::omit);
    visit("Options", options.options, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, VolumeDriverConfig>& config) {
    visit("Name", config.name, WhenEmpty::omit);
    visit("Options", config.options, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, VolumeOptions>& options) {
    visit("NoCopy", options.no_copy, WhenEmpty::omit);
    visit("Labels", options.labels, WhenEmpty::omit);
    visit("DriverConfig", options.driver_config, WhenEmpty::omit);
    visit("Subpath", options.subpath, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, ImageOptions>& options) {
    visit("Subpath", options.subpath, WhenEmpty::omit);
}

template <typename V>
void fields(V& visit, FieldOf<V, MountRequest>& mount) {
    visit("Type", mount.type, WhenEmpty::omit);
    visit("Source", mount.source, WhenEmpty::omit);
    visit("Target", mount.target, WhenEmpty::omit);
    visit("ReadOnly", mount.read_only, WhenEmpty::omit);
    visit("Consistency", mount.consistency, WhenEmpty::omit);
    visit("BindOptions", mount.bind_options, WhenEmpty::omit);
    visit("VolumeOptions", mount.volume_options, WhenEmpty::omit);
    visit("ImageOptions", mount.image_options, WhenEmpty::omit);
    visit("TmpfsOptions", mount.tmpfs_options, WhenEmpty::omit);
}

namespace {

template <typename V>
void common_fields(V& visit, FieldOf<V, HostConfig>& config) {
    visit("Binds", config.binds, WhenEmpty::null);
    visit("ContainerIDFile", config.container_id_file);
    visit("LogConfig", config.log_config);
    visit("NetworkMode", config.network_mode);
    visit("PortBindings", config.port_bindings);
    visit("RestartPolicy", config.restart_policy);
    visit("AutoRemove", config.auto_remove);
    visit("VolumeDriver", config.volume_driver);
    visit("VolumesFrom", config.volumes_from, WhenEmpty::null);
    visit("ConsoleSize", config.console_size);
    visit("Annotations", config.annotations, WhenEmpty::omit);
}

template <typename V>
void isolation_fields(V& visit, FieldOf<V, HostConfig>& config) {
    visit("CapAdd", config.cap_add, WhenEmpty::null);
    visit("CapDrop", config.cap_drop, WhenEmpty::null);
    visit("CgroupnsMode", config.cgroupns_mode);
    visit("Dns", config.dns);
    visit("DnsOptions", config.dns_options);
    visit("DnsSearch", config.dns_search);
    visit("ExtraHosts", config.extra_hosts, WhenEmpty::null);
    visit("GroupAdd", config.group_add, WhenEmpty::null);
    visit("IpcMode", config.ipc_mode);
    visit("Cgroup", config.cgroup);
    visit("Links", config.links, WhenEmpty::null);
    visit("OomScoreAdj", config.oom_score_adj);
    visit("PidMode", config.pid_mode);
    visit("Privileged", config.privileged);
    visit("PublishAllPorts", config.publish_all_ports);
    visit("ReadonlyRootfs", config.readonly_rootfs);
    visit("SecurityOpt", config.security_opt, WhenEmpty::null);
    visit("StorageOpt", config.storage_opt, WhenEmpty::omit);
    visit("Tmpfs", config.tmpfs, WhenEmpty::omit);
    visit("UTSMode", config.uts_mode);
    visit("UsernsMode", config.userns_mode);
    visit("ShmSize", config.shm_size);
    visit("Sysctls", config.sysctls, WhenEmpty::omit);
    visit("Runtime", config.runtime, WhenEmpty::omit);
    visit("Isolation", config.isolation);
}

/// The constants are what nobody can have set: host_config_check() refuses them.
template <typename V>
void resource_fields(V& visit, FieldOf<V, HostConfig>& config) {
    visit("CpuShares", config.cpu_shares);
    visit("Memory", config.memory);
    visit("NanoCpus", config.nano_cpus);
    visit("CgroupParent", config.cgroup_parent);
    visit("BlkioWeight", config.blkio_weight);
    visit("BlkioWeightDevice", config.blkio_weight_device);
    visit("BlkioDeviceReadBps", config.blkio_device_read_bps);
    visit("BlkioDeviceWriteBps", config.blkio_device_write_bps);
    visit("BlkioDeviceReadIOps", config.blkio_device_read_iops);
    visit("BlkioDeviceWriteIOps", config.blkio_device_write_iops);
    visit("CpuPeriod", config.cpu_period);
    visit("CpuQuota", config.cpu_quota);
    visit("CpuRealtimePeriod", config.cpu_realtime_period);
    visit("CpuRealtimeRuntime", config.cpu_realtime_runtime);
    visit("CpusetCpus", config.cpuset_cpus);
    visit("CpusetMems", config.cpuset_mems);
    visit("Devices", config.devices);
    visit("DeviceCgroupRules", config.device_cgroup_rules, WhenEmpty::null);
    visit("DeviceRequests", config.device_requests, WhenEmpty::null);
    visit("MemoryReservation", config.memory_reservation);
    visit("MemorySwap", config.memory_swap);
    visit("MemorySwappiness", config.memory_swappiness);
    visit("OomKillDisable", config.oom_kill_disable);
    visit("PidsLimit", config.pids_limit);
    visit("Ulimits", config.ulimits);
    visit.constant("CpuCount", "0");
    visit.constant("CpuPercent", "0");
    visit.constant("IOMaximumIOps", "0");
    visit.constant("IOMaximumBandwidth", "0");
}

/// A value that says something: not null, "", 0, false, [] or {}.
bool says_something(const JsonValue& value) {
    if (!value.present()) {
        return false;
    }
    static constexpr std::array<std::string_view, 6> empty{"\"\"", "0", "false", "[]", "{}", "0.0"};
    return std::ranges::find(empty, value.to_json()) == empty.end();
}

void note_if_given(const JsonValue& json,
                   std::string_view prefix,
                   std::string_view key,
                   HostConfig& config) {
    const JsonValue value = json.member(key);
    if (says_something(value)) {
        config.unsupported.push_back({std::string(prefix).append(key), value.to_json()});
    }
}

/// Keys of the API that davit knows of and does not do yet.
void note_unsupported(const JsonValue& json, HostConfig& config) {
    static constexpr auto keys = std::to_array<std::string_view>({
        "KernelMemory",
        "KernelMemoryTCP",
        "CpuCount",
        "CpuPercent",
        "IOMaximumIOps",
        "IOMaximumBandwidth",
    });
    for (const std::string_view key : keys) {
        note_if_given(json, "", key, config);
    }
}

}  // namespace

template <typename V>
void fields(V& visit, FieldOf<V, HostConfig>& config) {
    common_fields(visit, config);
    isolation_fields(visit, config);
    resource_fields(visit, config);
    visit("Mounts", config.mounts, WhenEmpty::omit);
    visit("MaskedPaths", config.masked_paths);
    visit("ReadonlyPaths", config.readonly_paths);
    visit("Init", config.init, WhenEmpty::omit);
}

Result<HostConfig> host_config_parse(const JsonValue& json) {
    HostConfig config;
    FieldReader reader(json);
    fields(reader, config);
    TRY_VOID(std::move(reader).result());
    note_unsupported(json, config);
    return config;
}

bool has_own_pid_namespace(const HostConfig& config) {
    return config.pid_mode != "host" && container_of_mode(config.pid_mode).empty();
}

std::string container_of_mode(const std::string& mode) {
    constexpr std::string_view prefix = "container:";
    return mode.starts_with(prefix) ? mode.substr(prefix.size()) : "";
}

std::string apparmor_profile_of(const HostConfig& config) {
    std::string profile;
    for (const std::string& option : config.security_opt) {
        constexpr std::string_view key = "apparmor";
        if (option.starts_with(key) && option.find_first_of("=:") == key.size()) {
            profile = option.substr(key.size() + 1);
        }
    }
    return profile;
}

void host_config_write(JsonWriter& json, const HostConfig& config) {
    json.begin_object();
    FieldWriter writer(json);
    fields(writer, config);
    json.end_object();
}

namespace {

void strings_if_absent(std::optional<std::vector<std::string>>& slot,
                       std::span<const std::string_view> defaults) {
    if (!slot) {
        slot.emplace(defaults.begin(), defaults.end());
    }
}

}  // namespace

void host_config_complete(HostConfig& config, bool pure_v2) {
    if (config.network_mode.empty() || config.network_mode == "default") {
        config.network_mode = "bridge";
    }
    if (config.log_config.type.empty()) {
        config.log_config.type = "json-file";
    }
    if (config.restart_policy.name.empty()) {
        config.restart_policy.name = "no";
    }
    if (config.ipc_mode.empty()) {
        config.ipc_mode = "private";
    }
    if (config.cgroupns_mode.empty()) {
        config.cgroupns_mode = config.privileged && !pure_v2 ? "host" : "private";
    }
    if (config.runtime.empty()) {
        config.runtime = "davit";
    }
    if (config.shm_size == 0) {
        config.shm_size = static_cast<std::int64_t>(shm_bytes_default);
    }
    if (config.memory > 0 && config.memory_swap == 0) {
        constexpr std::int64_t half = INT64_MAX / 2;  // As much swap as memory.
        config.memory_swap = config.memory > half ? -1 : config.memory * 2;
    }
    if (config.pids_limit.value_or(0) <= 0) {
        config.pids_limit.reset();
    }
    if (config.memory_swappiness.value_or(0) < 0) {
        config.memory_swappiness.reset();  // The docker CLI's way to say nothing.
    }
    const bool unconfined = std::ranges::any_of(config.security_opt, [](const std::string& option) {
        return option == "systempaths=unconfined" || option == "systempaths:unconfined";
    });
    if (config.privileged) {
        return;
    }
    using Paths = std::span<const std::string_view>;
    strings_if_absent(config.masked_paths, unconfined ? Paths{} : masked_paths_default());
    strings_if_absent(config.readonly_paths, unconfined ? Paths{} : readonly_paths_default());
}

}  // namespace davit
