#pragma once
/// ContainerSpec: everything the kernel must be told about a container, as plain values.
///
/// The caller resolves what needs an image or a daemon (user names, volumes, defaults: see
/// defaults.h and user.h); plan_compile() turns the spec into a launch plan without asking the
/// kernel anything. What exists only at start time (the root mount, descriptors) is passed to
/// launch() instead.
///
/// Follows: OCI runtime-spec config.md and config-linux.md, whose words are used.
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libcontainer/capabilities.h"
#include "libcontainer/device_rule.h"
#include "reactor/base/id_map.h"

namespace davit {

enum class NamespaceMode : std::uint8_t {
    host,  // Share the daemon's.
    own,   // A new one.
    join,  // One given at launch by descriptor.
};

/// The mount namespace is always the container's own.
struct Namespaces {
    NamespaceMode pid = NamespaceMode::own;
    NamespaceMode network = NamespaceMode::own;
    NamespaceMode ipc = NamespaceMode::own;
    NamespaceMode uts = NamespaceMode::own;
    NamespaceMode cgroup = NamespaceMode::own;
};

enum class MountKind : std::uint8_t {
    filesystem,  // fstype and options.
    bind,        // source: a path on the host, a directory or a file.
    prepared,    // A detached mount passed at launch, in the order of these mounts.
    cgroup,      // The container's own view of its cgroups, whatever the host's layout.
};

struct Mount {
    MountKind kind = MountKind::filesystem;
    std::string target = {};  // Absolute, in the container.
    std::string fstype = {};  // filesystem only.
    /// bind: the path; filesystem: the name shown as its device, "" for fstype.
    std::string source = {};
    /// filesystem only; a "" value makes the key a flag.
    std::vector<std::pair<std::string, std::string>> options = {};
    std::uint64_t attributes = 0;  // MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC, ...
    /// bind: of the attributes that its source is mounted with, those that it shall not have.
    std::uint64_t attributes_clear = 0;
    std::uint64_t propagation = 0;  // MS_PRIVATE (also 0), MS_SLAVE, MS_SHARED.
    bool recursive = true;          // bind: with the mounts below it.
    /// bind, with ContainerSpec::ids: what is owned by N on disk is so inside, too. Of the source's
    /// own file system, not of those mounted below.
    bool maps_ids = false;
    /// bind, recursive: the attributes are for the mounts below, too.
    bool attributes_recursive = true;
    /// Refuse a target with a symlink in it instead of following it inside the root. For /proc and
    /// /sys, where a mount elsewhere would leave masks and later writes pointing at an image's
    /// files.
    bool no_symlink = false;
};

struct Device {
    std::string path = {};
    mode_t mode = S_IFCHR | 0666;  // With S_IFCHR, S_IFBLK or S_IFIFO.
    unsigned major = 0;
    unsigned minor = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

struct ResourceLimit {
    std::string name = {};  // "nofile": for messages.
    int resource = RLIMIT_NOFILE;
    std::uint64_t soft = RLIM_INFINITY;
    std::uint64_t hard = RLIM_INFINITY;
};

/// The number for "nofile", "core", ... Errors: invalid_argument.
Result<int> resource_limit_number(std::string_view name);

struct Capabilities {
    CapabilitySet bounding = capabilities_default();
    CapabilitySet effective = capabilities_default();
    CapabilitySet permitted = capabilities_default();
    CapabilitySet inheritable = 0;
    CapabilitySet ambient = 0;
};

struct ProcessSpec {
    std::vector<std::string> arguments = {};  // At least one.
    /// "NAME=value"; PATH is searched for a command without a slash.
    std::vector<std::string> environment = {};
    std::string working_directory = "/";  // Created if missing.
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> additional_gids = {};
    std::optional<mode_t> umask = {};  // Unset: 0022.
    std::vector<ResourceLimit> resource_limits = {};
    Capabilities capabilities = {};
    bool no_new_privileges = false;
    std::string seccomp_filter = {};  // struct sock_filter bytes (seccomp.h); empty: unconfined.
    unsigned seccomp_flags = 0;       // SECCOMP_FILTER_FLAG_*.
    std::optional<int> oom_score_adjust = {};
    std::string apparmor_profile = {};  // Loaded by somebody; empty: none of its own.
    /// A pseudo terminal of the container's own; its master comes back on the channel.
    bool terminal = false;
    std::uint16_t terminal_width = 0;
    std::uint16_t terminal_height = 0;
};

/// Where the container's cgroups are (Cgroup::placement() fills it). Paths are the host's.
struct CgroupPlacement {
    struct Hierarchy {
        std::string directory = {};  // "/sys/fs/cgroup/memory/davit/<id>"
        /// Its folder below /sys/fs/cgroup: "memory", "cpu,cpuacct", "unified".
        std::string mount_name = {};
        /// Symlinks to mount_name: "cpu", "cpuacct" of "cpu,cpuacct".
        std::vector<std::string> aliases = {};
        bool unified = false;
    };

    std::vector<Hierarchy> hierarchies = {};
    bool pure_v2 = false;  // One hierarchy, to be mounted at /sys/fs/cgroup itself.
};

struct ContainerSpec {
    std::string id = {};  // Names the session keyring.
    std::string hostname = {};
    std::string domainname = {};
    Namespaces namespaces = {};
    /// A user namespace is given at launch, with this map; none: the daemon's.
    IdMap ids = {};
    bool rootfs_readonly = false;
    std::vector<Mount> mounts = {};  // In order.
    std::vector<Device> devices = {};
    std::vector<std::pair<std::string, std::string>> symlinks = {};  // (target, path)
    std::vector<std::string> masked_paths = {};
    std::vector<std::string> readonly_paths = {};
    std::vector<std::pair<std::string, std::string>> sysctls = {};  // ("net.ipv4.ip_forward", "1")
    bool new_session_keyring = true;
    CgroupPlacement cgroup = {};
    ProcessSpec process = {};
};

/// Limits of block devices of the host, by number.
struct BlockLimits {
    struct Limit {
        unsigned major = 0;
        unsigned minor = 0;
        std::uint64_t value = 0;
    };

    std::vector<Limit> weight = {};    // 10 to 1000.
    std::vector<Limit> read_bps = {};  // Bytes per second.
    std::vector<Limit> write_bps = {};
    std::vector<Limit> read_iops = {};  // Operations per second.
    std::vector<Limit> write_iops = {};

    bool empty() const {
        return weight.empty() && read_bps.empty() && write_bps.empty() && read_iops.empty() &&
               write_iops.empty();
    }
};

/// Limits of a container's cgroups; only what is set is written.
struct Resources {
    std::optional<std::int64_t> memory_bytes = {};  // -1: unlimited.
    std::optional<std::int64_t> memory_swap_bytes =
        {};  // Memory plus swap, as the API; -1: unlimited.
    std::optional<std::int64_t> memory_reservation_bytes = {};  // Soft limit.
    std::optional<std::uint64_t> cpu_shares = {};   // v1 scale: 2 to 262144, 1024 is one share.
    std::optional<std::int64_t> cpu_quota_us = {};  // -1: unlimited.
    std::optional<std::uint64_t> cpu_period_us = {};
    std::optional<std::int64_t> cpu_realtime_runtime_us = {};  // v1 only.
    std::optional<std::int64_t> cpu_realtime_period_us = {};   // v1 only.
    std::optional<std::string> cpuset_cpus = {};               // "0-1"
    std::optional<std::string> cpuset_mems = {};
    std::optional<std::int64_t> pids_max = {};            // -1: unlimited.
    std::optional<std::uint64_t> memory_swappiness = {};  // 0 to 100; v1 only.
    bool oom_kill_disable = false;                        // v1 only.
    std::optional<std::uint16_t> blkio_weight = {};       // 10 to 1000.
    BlockLimits block_limits = {};
    /// What may be made and opened; nothing else. Unset: everything.
    std::optional<std::vector<DeviceRule>> device_rules = {};
};

}  // namespace davit
