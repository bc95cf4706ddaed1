#pragma once
/// HostConfig: the part of a container's configuration that belongs to this host.
///
/// Members are the snake_case of the API's keys; sizes are bytes. Follows: Docker Engine API,
/// HostConfig.
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit {

struct BindOptions {
    std::string propagation;  // "rprivate", ...
    bool non_recursive = false;
    bool create_mountpoint = false;
    bool read_only_non_recursive = false;
    bool read_only_force_recursive = false;

    bool operator==(const BindOptions&) const = default;
};

struct TmpfsOptions {
    std::int64_t size_bytes = 0;                    // 0: unlimited.
    std::uint32_t mode = 0;                         // 0: 01777.
    std::vector<std::vector<std::string>> options;  // {"exec"}, {"noexec"}.

    bool operator==(const TmpfsOptions&) const = default;
};

struct VolumeDriverConfig {
    std::string name;
    std::map<std::string, std::string> options;

    bool operator==(const VolumeDriverConfig&) const = default;
};

struct VolumeOptions {
    bool no_copy = false;
    std::map<std::string, std::string> labels;
    std::optional<VolumeDriverConfig> driver_config;
    std::string subpath;

    bool operator==(const VolumeOptions&) const = default;
};

struct ImageOptions {
    std::string subpath;

    bool operator==(const ImageOptions&) const = default;
};

struct MountRequest {
    std::string type;  // "bind", "volume", "tmpfs", "image"; mount_points_resolve() refuses others.
    std::string source;
    std::string target;
    bool read_only = false;
    std::string consistency;  // Means nothing on Linux.
    std::optional<BindOptions> bind_options;
    std::optional<VolumeOptions> volume_options;
    std::optional<ImageOptions> image_options;
    std::optional<TmpfsOptions> tmpfs_options;

    bool operator==(const MountRequest&) const = default;
};

/// A device of the host, or all below a directory of such.
struct DeviceMapping {
    std::string path_on_host;
    std::string path_in_container;   // "": the same.
    std::string cgroup_permissions;  // Of "rwm"; "": all of them.

    bool operator==(const DeviceMapping&) const = default;
};

/// A container's share of a block device.
struct DeviceWeight {
    std::string path;
    std::uint16_t weight = 0;

    bool operator==(const DeviceWeight&) const = default;
};

/// What a container may do with a block device in a second at most.
struct DeviceRate {
    std::string path;
    std::uint64_t rate = 0;  // Bytes or operations.

    bool operator==(const DeviceRate&) const = default;
};

/// Devices that a driver finds: those named, or as many as count says.
struct DeviceRequest {
    std::string driver;      // "cdi", "nvidia"; "": one that has the capabilities.
    std::int64_t count = 0;  // -1: all.
    std::vector<std::string> device_ids;
    std::vector<std::vector<std::string>> capabilities;  // All of one of the lists.
    std::map<std::string, std::string> options;

    bool operator==(const DeviceRequest&) const = default;
};

struct Ulimit {
    std::string name;
    std::int64_t soft = 0;
    std::int64_t hard = 0;

    bool operator==(const Ulimit&) const = default;
};

struct RestartPolicy {
    std::string name;
    std::int64_t maximum_retry_count = 0;

    bool operator==(const RestartPolicy&) const = default;
};

struct LogConfig {
    std::string type;
    std::map<std::string, std::string> config;

    bool operator==(const LogConfig&) const = default;
};

struct PortBinding {
    std::string host_ip;
    std::string host_port;

    bool operator==(const PortBinding&) const = default;
};

Result<void> field_read(const JsonValue& json, PortBinding& binding);
void field_write(JsonWriter& json, const PortBinding& binding);

/// A key that davit does not implement yet and that was given a value.
struct UnsupportedOption {
    std::string key;    // "KernelMemory", ...
    std::string value;  // JSON.

    bool operator==(const UnsupportedOption&) const = default;
};

struct HostConfig {
    std::vector<std::string> binds;
    std::vector<MountRequest> mounts;
    std::string container_id_file;
    LogConfig log_config;
    std::string network_mode = "default";
    std::map<std::string, std::vector<PortBinding>> port_bindings;
    RestartPolicy restart_policy;
    bool auto_remove = false;
    std::string volume_driver;
    std::vector<std::string> volumes_from;
    std::array<std::uint32_t, 2> console_size{};  // Height, width.
    std::map<std::string, std::string> annotations;
    std::vector<std::string> cap_add;
    std::vector<std::string> cap_drop;
    std::string cgroupns_mode;
    std::vector<std::string> dns;
    std::vector<std::string> dns_options;
    std::vector<std::string> dns_search;
    std::vector<std::string> extra_hosts;
    std::vector<std::string> group_add;
    std::string ipc_mode;
    std::string cgroup;
    std::vector<std::string> links;
    int oom_score_adj = 0;
    std::string pid_mode;
    bool privileged = false;
    bool publish_all_ports = false;
    bool readonly_rootfs = false;
    std::vector<std::string> security_opt;
    std::map<std::string, std::string> storage_opt;
    std::map<std::string, std::string> tmpfs;
    std::string uts_mode;
    std::string userns_mode;
    std::int64_t shm_size = 0;  // 0: the default of 64 MiB.
    std::map<std::string, std::string> sysctls;
    std::string runtime;
    std::string isolation;

    std::int64_t cpu_shares = 0;
    std::int64_t memory = 0;
    std::int64_t nano_cpus = 0;
    std::string cgroup_parent;
    std::uint16_t blkio_weight = 0;
    std::vector<DeviceWeight> blkio_weight_device;
    std::vector<DeviceRate> blkio_device_read_bps;
    std::vector<DeviceRate> blkio_device_write_bps;
    std::vector<DeviceRate> blkio_device_read_iops;
    std::vector<DeviceRate> blkio_device_write_iops;
    std::vector<DeviceMapping> devices;
    std::vector<std::string> device_cgroup_rules;
    std::vector<DeviceRequest> device_requests;
    std::int64_t cpu_period = 0;
    std::int64_t cpu_quota = 0;
    std::int64_t cpu_realtime_period = 0;
    std::int64_t cpu_realtime_runtime = 0;
    std::string cpuset_cpus;
    std::string cpuset_mems;
    std::int64_t memory_reservation = 0;
    std::int64_t memory_swap = 0;  // Memory plus swap; -1: unlimited.
    std::optional<std::int64_t> memory_swappiness;
    std::optional<bool> oom_kill_disable;
    std::optional<std::int64_t> pids_limit;
    std::vector<Ulimit> ulimits;
    std::optional<bool> init;

    std::optional<std::vector<std::string>> masked_paths;    // Absent: the defaults.
    std::optional<std::vector<std::string>> readonly_paths;  // Absent: the defaults.

    /// What host_config_check() refuses by name; never stored.
    std::vector<UnsupportedOption> unsupported;

    bool operator==(const HostConfig&) const = default;
};

/// Whether the end of its first process ends all others: not so in a pid namespace of somebody
/// else's.
bool has_own_pid_namespace(const HostConfig& config);

/// X of "container:X", a mode of a namespace; "" for every other one.
std::string container_of_mode(const std::string& mode);

/// The AppArmor profile that is asked for: the last SecurityOpt "apparmor=" counts; "unconfined",
/// or "" if none is.
std::string apparmor_profile_of(const HostConfig& config);

/// json may be absent: the defaults. Errors: invalid_argument for a member of a wrong type.
Result<HostConfig> host_config_parse(const JsonValue& json);

/// One JSON object with every key that Docker gives.
void host_config_write(JsonWriter& json, const HostConfig& config);

/// Check values against one another and against what davit can do.
/// Takes:  cpu_count: the host's processors, 0 if nobody knows.
/// Gives:  warnings for the client.
/// Errors: invalid_argument, in Docker's words; unsupported, naming the option and what to do.
Result<std::vector<std::string>> host_config_check(const HostConfig& config, int cpu_count = 0);

/// The same for what POST /containers/{id}/update may change: limits and restart policy. Errors: as
/// host_config_check(); invalid_argument for what it cannot change.
Result<void> host_config_update_check(const HostConfig& update, int cpu_count);

/// Change the limits and the restart policy that an update gives. Follows: moby container/
/// container_unix.go, UpdateContainer().
/// Errors: conflict, in Docker's words, with what is set already; invalid_argument. config may have
///         been changed in part by then.
Result<void> host_config_update(HostConfig& config, const HostConfig& update);

/// Put in what Docker puts in where nothing was asked for: the log driver, the size of /dev/shm,
/// namespaces, masked paths, swap; and clear what means "unset". Call it after host_config_check().
/// Takes: pure_v2, the host has cgroup v2 alone: there a privileged container has a cgroup
/// namespace
///        of its own, too (moby daemon/daemon_unix.go, adaptContainerSettings()).
void host_config_complete(HostConfig& config, bool pure_v2);

}  // namespace davit
