#include "jobs/container/sandbox_shape.h"

#include <algorithm>

#include "jobs/container/devices.h"
#include "libcontainer/defaults.h"
#include "libcontainer/launch_plan.h"

namespace davit {

namespace {

bool shares_namespaces(const HostConfig& host) {
    const bool own_ipc = host.ipc_mode.empty() || host.ipc_mode == "private" ||
                         host.ipc_mode == "shareable" || host.ipc_mode == "none";
    return !own_ipc || !host.pid_mode.empty() || host.cgroupns_mode == "host" ||
           host.network_mode == "host" || !container_of_mode(host.network_mode).empty();
}

/// Controllers that a container has no cgroup of as long as nobody asks.
bool needs_more_cgroups(const HostConfig& host) {
    return host.cpu_realtime_period != 0 || host.cpu_realtime_runtime != 0 ||
           !host.cpuset_cpus.empty() || !host.cpuset_mems.empty() || host.blkio_weight != 0 ||
           !host.blkio_weight_device.empty() || !host.blkio_device_read_bps.empty() ||
           !host.blkio_device_write_bps.empty() || !host.blkio_device_read_iops.empty() ||
           !host.blkio_device_write_iops.empty();
}

/// Docker's own, or none: others may lead out of what a sandbox has.
bool is_usual(const std::optional<std::vector<std::string>>& paths,
              std::span<const std::string_view> usual) {
    return !paths || paths->empty() || std::ranges::equal(*paths, usual);
}

}  // namespace

std::optional<SandboxShape> sandbox_shape(const HostConfig& host) {
    if (shares_namespaces(host) || needs_more_cgroups(host) || container_has_devices(host) ||
        !host.device_cgroup_rules.empty() || !is_usual(host.masked_paths, masked_paths_default()) ||
        !is_usual(host.readonly_paths, readonly_paths_default())) {
        return std::nullopt;
    }
    SandboxShape shape;
    shape.host_uts = host.uts_mode == "host";
    shape.shm = host.ipc_mode != "none";
    shape.shm_bytes = host.shm_size;
    shape.sysctls = host.sysctls;
    shape.masked_paths = host.masked_paths;
    shape.readonly_paths = host.readonly_paths;
    shape.cgroup_parent = host.cgroup_parent;
    return shape;
}

bool sandbox_allows(const ContainerRecord& record) {
    return std::ranges::none_of(record.mounts, [](const MountPoint& mount) {
        return mount.destination == "/" || is_sandbox_path(mount.destination);
    });
}

ContainerRecord SandboxShape::record() const {
    ContainerRecord record;
    HostConfig& host = record.host_config;
    host.uts_mode = host_uts ? "host" : "";
    host.ipc_mode = shm ? "private" : "none";
    host.shm_size = shm_bytes;
    host.sysctls = sysctls;
    host.masked_paths = masked_paths;
    host.readonly_paths = readonly_paths;
    host.cgroup_parent = cgroup_parent;
    host.cgroupns_mode = "private";
    host.network_mode = "none";
    host.security_opt = {"seccomp=unconfined"};  // Its filter is the container's.
    record.path = "/";
    return record;
}

}  // namespace davit
