#include "jobs/container/host_limits.h"

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "libcontainer/capabilities.h"
#include "reactor/base/fd.h"

namespace davit {

namespace {

/// The unified hierarchy's directory of this process: its root lacks the files of limits.
std::string own_directory(const CgroupLayout::Hierarchy& unified) {
    const auto text = file_read("/proc/self/cgroup");
    constexpr std::string_view prefix = "0::";
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (line.starts_with(prefix)) {
            return unified.mount_point + std::string(line.substr(prefix.size()));
        }
    }
    return unified.mount_point;
}

/// Whether one of the files is there that a limit is written to.
class Finder {
  public:
    explicit Finder(const CgroupLayout& layout) : layout_(layout) {}

    bool has(std::string_view controller) const { return layout_.find(controller) != nullptr; }

    bool has_v1(std::string_view controller) const {
        const CgroupLayout::Hierarchy* hierarchy = layout_.find(controller);
        return hierarchy != nullptr && !hierarchy->unified;
    }

    bool has_file(std::string_view controller, std::initializer_list<const char*> files) const {
        const CgroupLayout::Hierarchy* hierarchy = layout_.find(controller);
        if (hierarchy == nullptr) {
            return false;
        }
        const std::string own =
            hierarchy->unified ? own_directory(*hierarchy) : hierarchy->mount_point;
        // In a root cgroup of v2 nothing can be seen; its children have what the controller has.
        if (hierarchy->unified && ::access((own + "/cgroup.events").c_str(), F_OK) != 0) {
            return true;
        }
        return std::ranges::any_of(files, [&](const char* file) {
            return ::access((own + "/" + file).c_str(), F_OK) == 0;
        });
    }

  private:
    const CgroupLayout& layout_;
};

void hard_limits_read(HostLimits& limits) {
    const bool can_raise = (capabilities_available() & capability_bit(CAP_SYS_RESOURCE)) != 0;
    for (std::size_t i = 0; i < limits.hard_max.size() && !can_raise; ++i) {
        rlimit limit{};
        if (::getrlimit(static_cast<__rlimit_resource_t>(i), &limit) == 0) {
            limits.hard_max[i] = limit.rlim_max;
        }
    }
    // Nobody gets more descriptors than this. Follows: proc_sys_fs(5).
    const auto text = file_read("/proc/sys/fs/nr_open");
    rlim_t most = 0;
    if (text &&
        std::from_chars(text->data(), text->data() + text->size(), most).ec == std::errc{}) {
        limits.hard_max[RLIMIT_NOFILE] = std::min(limits.hard_max[RLIMIT_NOFILE], most);
    }
}

rlim_t rlim_of(std::int64_t value) {
    return value < 0 ? RLIM_INFINITY : static_cast<rlim_t>(value);
}

}  // namespace

HostLimits HostLimits::read(const CgroupLayout& layout) {
    const Finder find(layout);
    HostLimits limits;
    limits.memory = find.has("memory");
    limits.swap = limits.memory &&
                  find.has_file("memory", {"memory.memsw.limit_in_bytes", "memory.swap.max"});
    limits.memory_reservation =
        limits.memory && find.has_file("memory", {"memory.soft_limit_in_bytes", "memory.low"});
    limits.pids = find.has("pids");
    limits.cpu_shares = find.has_file("cpu", {"cpu.shares", "cpu.weight"});
    limits.cpu_quota = find.has_file("cpu", {"cpu.cfs_quota_us", "cpu.max"});
    limits.cpu_realtime = find.has_v1("cpu") && find.has_file("cpu", {"cpu.rt_runtime_us"});
    limits.cpuset = find.has("cpuset");
    limits.blkio_weight = find.has_file("blkio", {"blkio.weight", "blkio.bfq.weight"}) ||
                          find.has_file("io", {"io.weight", "io.bfq.weight"});
    // v2 has neither, and in its root cgroup nothing can be looked for.
    const bool v1_memory = find.has_v1("memory");
    limits.memory_swappiness = v1_memory && find.has_file("memory", {"memory.swappiness"});
    limits.oom_kill_disable = v1_memory && find.has_file("memory", {"memory.oom_control"});
    limits.blkio_weight_device =
        find.has_file("blkio", {"blkio.weight_device", "blkio.bfq.weight_device"}) ||
        find.has_file("io", {"io.weight"});
    limits.blkio_rates = find.has_file("blkio", {"blkio.throttle.read_bps_device"}) ||
                         find.has_file("io", {"io.max"});
    const auto apparmor = file_read("/sys/module/apparmor/parameters/enabled");
    limits.apparmor = apparmor && apparmor->starts_with('Y');
    hard_limits_read(limits);
    return limits;
}

namespace {

/// What is asked for and not there.
class Warnings {
  public:
    void add_if(bool asked, bool there, std::string text) {
        if (asked && !there) {
            list.push_back(std::move(text));
        }
    }

    std::vector<std::string> list;
};

/// Docker's texts, some of which are alike but not the same.
void block_warnings_add(Warnings& warnings, const HostConfig& config, const HostLimits& limits) {
    warnings.add_if(
        !config.blkio_weight_device.empty(),
        limits.blkio_weight_device,
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
        "Weight-device discarded.");
    warnings.add_if(
        !config.blkio_device_read_bps.empty(),
        limits.blkio_rates,
        "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. "
        "Block I/O BPS read limit discarded.");
    warnings.add_if(
        !config.blkio_device_write_bps.empty(),
        limits.blkio_rates,
        "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. "
        "Block I/O BPS write limit discarded.");
    warnings.add_if(
        !config.blkio_device_read_iops.empty(),
        limits.blkio_rates,
        "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. "
        "Block I/O IOPS read limit discarded.");
    warnings.add_if(
        !config.blkio_device_write_iops.empty(),
        limits.blkio_rates,
        "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. "
        "Block I/O IOPS write limit discarded.");
}

}  // namespace

Result<void> host_limits_check(const HostConfig& config, const HostLimits& limits) {
    const bool realtime = config.cpu_realtime_period != 0 || config.cpu_realtime_runtime != 0;
    if (realtime && !limits.cpu_realtime) {
        return Error(ErrorKind::invalid_argument,
                     "kernel does not support CPU real-time scheduler");
    }
    const std::string profile = apparmor_profile_of(config);
    if (!profile.empty() && profile != "unconfined" && !limits.apparmor) {
        return Error(ErrorKind::invalid_argument,
                     "apparmor: config provided but apparmor not supported: the kernel does not "
                     "have it switched on");
    }
    return ok;
}

std::vector<std::string> host_limit_warnings(const HostConfig& config, const HostLimits& limits) {
    Warnings warnings;
    warnings.add_if(
        config.memory > 0,
        limits.memory,
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
        "Limitation discarded.");
    warnings.add_if(
        config.memory > 0 && config.memory_swap != -1 && limits.memory,
        limits.swap,
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
        "Memory limited without swap.");
    warnings.add_if(
        config.memory_reservation > 0,
        limits.memory_reservation,
        "Your kernel does not support memory soft limit capabilities or the cgroup is not "
        "mounted. Limitation discarded.");
    warnings.add_if(
        config.pids_limit.value_or(0) > 0,
        limits.pids,
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. "
        "PIDs limit discarded.");
    warnings.add_if(config.cpu_shares > 0,
                    limits.cpu_shares,
                    "Your kernel does not support CPU shares or the cgroup is not mounted. Shares "
                    "discarded.");
    warnings.add_if(config.cpu_period != 0 || config.cpu_quota > 0 || config.nano_cpus > 0,
                    limits.cpu_quota,
                    "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
    warnings.add_if(
        !config.cpuset_cpus.empty() || !config.cpuset_mems.empty(),
        limits.cpuset,
        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.");
    warnings.add_if(
        config.blkio_weight > 0,
        limits.blkio_weight,
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight "
        "discarded.");
    block_warnings_add(warnings, config, limits);
    warnings.add_if(
        config.memory_swappiness.has_value(),
        limits.memory_swappiness,
        "Your kernel does not support memory swappiness capabilities or the cgroup is not "
        "mounted. Memory swappiness discarded.");
    const bool no_oom_kill = config.oom_kill_disable.value_or(false);
    warnings.add_if(no_oom_kill,
                    limits.oom_kill_disable,
                    "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    warnings.add_if(
        no_oom_kill && limits.oom_kill_disable,
        config.memory != 0,
        "OOM killer is disabled for the container, but no memory limit is set, this can "
        "result in the system running out of resources.");
    for (const Ulimit& limit : config.ulimits) {
        const auto number = resource_limit_number(limit.name);
        const rlim_t most =
            number ? limits.hard_max.at(static_cast<std::size_t>(*number)) : RLIM_INFINITY;
        warnings.add_if(rlim_of(limit.hard) > most,
                        false,
                        "ulimit " + limit.name + ": the hard limit cannot be raised to " +
                            (limit.hard < 0 ? "unlimited" : std::to_string(limit.hard)) +
                            " here. It stays at " + std::to_string(most) + ".");
    }
    return warnings.list;
}

}  // namespace davit
