#include "libcontainer/defaults.h"

#include <sys/mount.h>

#include <array>

#include "libcontainer/seccomp.h"

namespace davit {

namespace {

constexpr std::uint64_t plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

constexpr std::array<std::string_view, 12> masked = {
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
};

constexpr std::array<std::string_view, 5> readonly_paths = {
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
};

Mount filesystem(const char* fstype,
                 const char* target,
                 std::uint64_t attributes,
                 std::vector<std::pair<std::string, std::string>> options) {
    Mount mount;
    mount.kind = MountKind::filesystem;
    mount.fstype = fstype;
    mount.target = target;
    mount.attributes = attributes;
    mount.options = std::move(options);
    return mount;
}

void mounts_add(ContainerSpec& spec, const DefaultsRequest& request) {
    const std::uint64_t readonly = request.privileged ? 0 : std::uint64_t{MOUNT_ATTR_RDONLY};
    constexpr std::uint64_t dev = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME;
    constexpr std::uint64_t no_exec = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    spec.mounts.push_back(filesystem("proc", "/proc", plain, {}));
    spec.mounts.back().no_symlink = true;
    spec.mounts.push_back(filesystem("tmpfs", "/dev", dev, {{"mode", "755"}, {"size", "65536k"}}));
    spec.mounts.push_back(
        filesystem("devpts",
                   "/dev/pts",
                   no_exec,
                   {{"newinstance", ""}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}}));
    spec.mounts.push_back(filesystem("sysfs", "/sys", plain | readonly, {}));
    spec.mounts.back().no_symlink = true;
    Mount cgroup;
    cgroup.kind = MountKind::cgroup;
    cgroup.target = "/sys/fs/cgroup";
    cgroup.attributes = plain | readonly;
    spec.mounts.push_back(std::move(cgroup));
    spec.mounts.push_back(filesystem("mqueue", "/dev/mqueue", plain, {}));
    if (request.namespaces.ipc != NamespaceMode::own) {
        return;
    }
    spec.mounts.push_back(
        filesystem("tmpfs",
                   "/dev/shm",
                   plain,
                   {{"mode", "1777"}, {"size", std::to_string(request.shm_bytes)}}));
    spec.mounts.back().source = "shm";
}

void devices_add(ContainerSpec& spec) {
    struct Node {
        const char* path;
        unsigned minor;
    };

    constexpr unsigned memory_major = 1;
    for (const Node node : {Node{"/dev/null", 3},
                            Node{"/dev/zero", 5},
                            Node{"/dev/full", 7},
                            Node{"/dev/random", 8},
                            Node{"/dev/urandom", 9}}) {
        spec.devices.push_back(
            Device{.path = node.path, .major = memory_major, .minor = node.minor});
    }
    spec.devices.push_back(Device{.path = "/dev/tty", .major = 5, .minor = 0});
    spec.symlinks = {{"/proc/self/fd", "/dev/fd"},
                     {"/proc/self/fd/0", "/dev/stdin"},
                     {"/proc/self/fd/1", "/dev/stdout"},
                     {"/proc/self/fd/2", "/dev/stderr"},
                     {"pts/ptmx", "/dev/ptmx"},
                     {"/proc/kcore", "/dev/core"}};
}

}  // namespace

std::span<const std::string_view> masked_paths_default() {
    return masked;
}

std::span<const std::string_view> readonly_paths_default() {
    return readonly_paths;
}

std::vector<std::string> device_rules_default() {
    return {"c *:* m",
            "b *:* m",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:1 rwm",
            "c 5:2 rwm",
            "c 136:* rwm"};
}

Result<ContainerSpec> container_spec_default(const DefaultsRequest& request) {
    ContainerSpec spec;
    spec.namespaces = request.namespaces;
    mounts_add(spec, request);
    devices_add(spec);
    const CapabilitySet set = request.capabilities.value_or(
        request.privileged ? capabilities_available() : capabilities_default());
    spec.process.capabilities = {.bounding = set, .effective = set, .permitted = set};
    if (!request.privileged && !request.system_paths_unconfined) {
        spec.masked_paths.assign(masked.begin(), masked.end());
        spec.readonly_paths.assign(readonly_paths.begin(), readonly_paths.end());
    }
    if (!request.privileged && !request.seccomp_unconfined) {
        TRY(spec.process.seccomp_filter, seccomp_default_filter(set));
    }
    return spec;
}

}  // namespace davit
