#pragma once
/// What this host can limit, and the warnings for a client who asks for more.
///
/// Follows: Docker's pkg/sysinfo and verifyPlatformContainerResources(), whose texts these are.
#include <sys/resource.h>

#include <array>
#include <string>
#include <vector>

#include "jobs/container/host_config.h"
#include "libcontainer/cgroup.h"

namespace davit {

struct HostLimits {
    bool memory = true;
    bool swap = true;
    bool memory_reservation = true;
    bool pids = true;
    bool cpu_shares = true;
    bool cpu_quota = true;
    bool cpu_realtime = true;
    bool cpuset = true;
    bool memory_swappiness = true;
    bool oom_kill_disable = true;
    bool blkio_weight = true;
    bool blkio_weight_device = true;
    bool blkio_rates = true;
    /// The kernel has AppArmor, and it is switched on.
    bool apparmor = true;
    /// The highest hard limit a process of ours can get, by resource; RLIM_INFINITY: any.
    std::array<rlim_t, RLIM_NLIMITS> hard_max;

    HostLimits() { hard_max.fill(RLIM_INFINITY); }

    /// Looks for the limits' files. A controller whose files do not exist in a root cgroup is
    /// looked for in this process's own. Blocks: some tens of microseconds.
    static HostLimits read(const CgroupLayout& layout);
};

/// What is refused rather than left out. Errors: invalid_argument, in Docker's words.
Result<void> host_limits_check(const HostConfig& config, const HostLimits& limits);

/// One for each limit that was asked for and cannot be applied.
/// Takes: config, completed by host_config_complete().
std::vector<std::string> host_limit_warnings(const HostConfig& config, const HostLimits& limits);

}  // namespace davit
