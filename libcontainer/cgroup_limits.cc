// Writing a container's limits (cgroup.h).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "libcontainer/cgroup.h"
#include "libcontainer/device_filter.h"

namespace davit {

namespace {

constexpr std::uint64_t cpu_period_default_us = 100'000;

std::string max_or(std::int64_t value) {
    return value < 0 ? "max" : std::to_string(value);
}

/// v1's 10 to 1000 to io.weight's 1 to 10000, as runc converts.
std::uint64_t io_weight(std::uint64_t weight) {
    constexpr std::uint64_t weight_min = 10;
    return 1 + (std::max(weight, weight_min) - weight_min) * 9999 / 990;
}

std::string device_text(const BlockLimits::Limit& limit) {
    return std::to_string(limit.major) + ":" + std::to_string(limit.minor);
}

}  // namespace

std::uint64_t cpu_weight_from_shares(std::uint64_t shares) {
    constexpr std::uint64_t shares_min = 2;
    constexpr std::uint64_t shares_max = 262'144;
    const std::uint64_t bounded = std::clamp(shares, shares_min, shares_max);
    return 1 + (bounded - shares_min) * 9999 / (shares_max - shares_min);
}

Result<void> Cgroup::limit_write(std::string_view controller,
                                 const char* file,
                                 const std::string& value,
                                 std::vector<std::string>& warnings) {
    const int directory = controller_fd(controller);
    if (before_ != nullptr && directory >= 0) {
        if (auto text = file_read(directory, file)) {
            TRY(Fd copy, Fd::duplicate(directory));
            text->resize(std::min(text->find('\n'), text->size()));
            before_->files_.push_back({std::move(copy), file, *std::move(text)});
        }
    }
    Result<void> written = directory < 0 ? Result<void>(Error::from_errno(ENOENT, "open", file))
                                         : file_write_existing(directory, file, value);
    if (!written && written.error().errno_value() == ENOENT) {
        warnings.push_back("this host cannot limit " + std::string(file) + ", not applied");
        return ok;
    }
    if (!written) {
        return std::move(written).error().context("set " + std::string(file) + " to " + value);
    }
    return ok;
}

Result<void> Cgroup::v1_memory(const Resources& resources, std::vector<std::string>& warnings) {
    const auto& memory = resources.memory_bytes;
    const auto& swap = resources.memory_swap_bytes;
    const auto write = [&](const char* file, std::int64_t value) {
        return limit_write("memory", file, std::to_string(value), warnings);
    };
    constexpr const char* memory_file = "memory.limit_in_bytes";
    constexpr const char* swap_file = "memory.memsw.limit_in_bytes";
    if (memory && swap) {
        // The kernel keeps memory <= memory + swap at every moment, so the order depends on the
        // direction.
        TRY(const std::string text, file_read(controller_fd("memory"), memory_file));
        std::int64_t current = 0;
        std::from_chars(text.data(), text.data() + text.size(), current);
        const bool raising = *swap < 0 || *memory > current;
        if (raising) {
            TRY_VOID(write(swap_file, *swap));
            TRY_VOID(write(memory_file, *memory));
        } else {
            TRY_VOID(write(memory_file, *memory));
            TRY_VOID(write(swap_file, *swap));
        }
    } else if (memory) {
        TRY_VOID(write(memory_file, *memory));
    } else if (swap) {
        TRY_VOID(write(swap_file, *swap));
    }
    if (resources.memory_reservation_bytes) {
        TRY_VOID(write("memory.soft_limit_in_bytes", *resources.memory_reservation_bytes));
    }
    if (resources.memory_swappiness) {
        TRY_VOID(
            write("memory.swappiness", static_cast<std::int64_t>(*resources.memory_swappiness)));
    }
    if (resources.oom_kill_disable) {
        TRY_VOID(write("memory.oom_control", 1));
    }
    return ok;
}

Result<void> Cgroup::v1_block_io(const Resources& resources, std::vector<std::string>& warnings) {
    const int directory = controller_fd("blkio");
    const bool bfq = directory >= 0 && ::faccessat(directory, "blkio.bfq.weight", F_OK, 0) == 0;
    if (resources.blkio_weight) {
        TRY_VOID(limit_write("blkio",
                             bfq ? "blkio.bfq.weight" : "blkio.weight",
                             std::to_string(*resources.blkio_weight),
                             warnings));
    }
    const BlockLimits& limits = resources.block_limits;
    using File = std::pair<const char*, const std::vector<BlockLimits::Limit>*>;
    const std::array<File, 5> files{
        {{bfq ? "blkio.bfq.weight_device" : "blkio.weight_device", &limits.weight},
         {"blkio.throttle.read_bps_device", &limits.read_bps},
         {"blkio.throttle.write_bps_device", &limits.write_bps},
         {"blkio.throttle.read_iops_device", &limits.read_iops},
         {"blkio.throttle.write_iops_device", &limits.write_iops}}};
    for (const auto& [file, values] : files) {
        for (const BlockLimits::Limit& limit : *values) {
            const std::string line = device_text(limit) + " " + std::to_string(limit.value);
            TRY_VOID(limit_write("blkio", file, line, warnings));
        }
    }
    return ok;
}

Result<void> Cgroup::v2_block_io(const Resources& resources, std::vector<std::string>& warnings) {
    if (resources.blkio_weight) {
        TRY_VOID(limit_write("io",
                             "io.weight",
                             "default " + std::to_string(io_weight(*resources.blkio_weight)),
                             warnings));
    }
    const BlockLimits& limits = resources.block_limits;
    for (const BlockLimits::Limit& limit : limits.weight) {
        TRY_VOID(limit_write("io",
                             "io.weight",
                             device_text(limit) + " " + std::to_string(io_weight(limit.value)),
                             warnings));
    }
    using Key = std::pair<const char*, const std::vector<BlockLimits::Limit>*>;
    const std::array<Key, 4> keys{{{"rbps", &limits.read_bps},
                                   {"wbps", &limits.write_bps},
                                   {"riops", &limits.read_iops},
                                   {"wiops", &limits.write_iops}}};
    for (const auto& [key, values] : keys) {
        for (const BlockLimits::Limit& limit : *values) {
            const std::string line =
                device_text(limit) + " " + key + "=" + std::to_string(limit.value);
            TRY_VOID(limit_write("io", "io.max", line, warnings));
        }
    }
    return ok;
}

/// To every directory between the root and the container's, from the root on.
Result<void> Cgroup::realtime_give() const {
    const auto cpu = std::ranges::find_if(directories_, [](const Directory& one) {
        return std::ranges::count(one.hierarchy->controllers, "cpu") > 0;
    });
    for (std::size_t end = path_.find('/', 1);
         end != std::string::npos && cpu != directories_.end();
         end = path_.find('/', end + 1)) {
        TRY(const Fd fd,
            Fd::open(cpu->hierarchy->mount_point + path_.substr(0, end), O_RDONLY | O_DIRECTORY));
        const auto write = [&](const char* file, std::int64_t value) -> Result<void> {
            TRY(const std::string text, file_read(fd.get(), file));
            const std::string wanted = std::to_string(value);
            return value == 0 || text == wanted + "\n"
                       ? Result<void>(ok)
                       : file_write_existing(fd.get(), file, wanted);
        };
        TRY_VOID(write("cpu.rt_period_us", realtime_period_us_));
        TRY_VOID(write("cpu.rt_runtime_us", realtime_runtime_us_));
    }
    return ok;
}

/// The kernel keeps runtime <= period at every moment, so the order depends on the direction; and
/// no more than the parent has to give.
Result<void> Cgroup::v1_realtime(const Resources& resources, std::vector<std::string>& warnings) {
    const auto& runtime = resources.cpu_realtime_runtime_us;
    const auto& period = resources.cpu_realtime_period_us;
    constexpr const char* runtime_file = "cpu.rt_runtime_us";
    const auto write = [&](const char* file,
                           const std::optional<std::int64_t>& value) -> Result<void> {
        Result<void> written =
            value ? limit_write("cpu", file, std::to_string(*value), warnings) : Result<void>(ok);
        if (!written && written.error().errno_value() == EINVAL) {
            return std::move(written).error().context(
                "more real-time than the parent cgroup has (davit daemon --cpu-rt-runtime)");
        }
        return written;
    };
    TRY_VOID(realtime_give());
    std::int64_t current = 0;
    if (const auto text = file_read(controller_fd("cpu"), runtime_file)) {
        std::from_chars(text->data(), text->data() + text->size(), current);
    }
    const bool runtime_first = period && *period < current;
    if (runtime_first) {
        TRY_VOID(write(runtime_file, runtime));
    }
    TRY_VOID(write("cpu.rt_period_us", period));
    return runtime_first ? Result<void>(ok) : write(runtime_file, runtime);
}

Result<void> Cgroup::v1_limits(const Resources& resources, std::vector<std::string>& warnings) {
    if (controller_fd("memory") >= 0 || !(resources.memory_bytes || resources.memory_swap_bytes)) {
        TRY_VOID(v1_memory(resources, warnings));
    } else {
        warnings.push_back("this host cannot limit memory, not applied");
    }
    if (resources.cpu_shares) {
        TRY_VOID(limit_write("cpu", "cpu.shares", std::to_string(*resources.cpu_shares), warnings));
    }
    if (resources.cpu_period_us) {
        TRY_VOID(limit_write(
            "cpu", "cpu.cfs_period_us", std::to_string(*resources.cpu_period_us), warnings));
    }
    if (resources.cpu_quota_us) {
        TRY_VOID(limit_write(
            "cpu", "cpu.cfs_quota_us", std::to_string(*resources.cpu_quota_us), warnings));
    }
    if (resources.cpu_realtime_runtime_us || resources.cpu_realtime_period_us) {
        TRY_VOID(v1_realtime(resources, warnings));
    }
    if (resources.cpuset_cpus) {
        TRY_VOID(limit_write("cpuset", "cpuset.cpus", *resources.cpuset_cpus, warnings));
    }
    if (resources.cpuset_mems) {
        TRY_VOID(limit_write("cpuset", "cpuset.mems", *resources.cpuset_mems, warnings));
    }
    if (resources.pids_max) {
        TRY_VOID(limit_write("pids", "pids.max", max_or(*resources.pids_max), warnings));
    }
    return v1_block_io(resources, warnings);
}

Result<void> Cgroup::v2_limits(const Resources& resources, std::vector<std::string>& warnings) {
    if (resources.memory_bytes) {
        TRY_VOID(limit_write("memory", "memory.max", max_or(*resources.memory_bytes), warnings));
    }
    if (resources.memory_swap_bytes) {
        // The API counts memory + swap, v2 swap alone.
        const std::int64_t total = *resources.memory_swap_bytes;
        const std::int64_t memory = resources.memory_bytes.value_or(0);
        if (total >= 0 && total < memory) {
            return Error(ErrorKind::invalid_argument, "memory plus swap is below the memory limit");
        }
        TRY_VOID(limit_write(
            "memory", "memory.swap.max", max_or(total < 0 ? total : total - memory), warnings));
    }
    if (resources.memory_reservation_bytes) {
        TRY_VOID(limit_write(
            "memory",
            "memory.low",
            std::to_string(std::max<std::int64_t>(0, *resources.memory_reservation_bytes)),
            warnings));
    }
    if (resources.cpu_shares) {
        TRY_VOID(limit_write("cpu",
                             "cpu.weight",
                             std::to_string(cpu_weight_from_shares(*resources.cpu_shares)),
                             warnings));
    }
    if (resources.cpu_quota_us || resources.cpu_period_us) {
        const std::string quota = max_or(resources.cpu_quota_us.value_or(-1));
        const std::string period =
            std::to_string(resources.cpu_period_us.value_or(cpu_period_default_us));
        TRY_VOID(limit_write("cpu", "cpu.max", quota + " " + period, warnings));
    }
    if (resources.cpuset_cpus) {
        TRY_VOID(limit_write("cpuset", "cpuset.cpus", *resources.cpuset_cpus, warnings));
    }
    if (resources.cpuset_mems) {
        TRY_VOID(limit_write("cpuset", "cpuset.mems", *resources.cpuset_mems, warnings));
    }
    if (resources.pids_max) {
        TRY_VOID(limit_write("pids", "pids.max", max_or(*resources.pids_max), warnings));
    }
    return v2_block_io(resources, warnings);
}

Result<void> Cgroup::update(const Resources& resources, std::vector<std::string>& warnings) {
    return mode_ == CgroupMode::v2 ? v2_limits(resources, warnings)
                                   : v1_limits(resources, warnings);
}

Result<LimitsBefore> Cgroup::change(const Resources& resources,
                                    std::vector<std::string>& warnings) {
    if (process_directory() == nullptr) {
        return Error(ErrorKind::not_found, "the cgroup is removed");
    }
    TRY_VOID(join_needed(resources));
    LimitsBefore before;
    before_ = &before;
    Result<void> changed = update(resources, warnings);
    before_ = nullptr;
    if (!changed) {
        static_cast<void>(before.restore());  // The first error is the one that matters.
        return std::move(changed).error();
    }
    return before;
}

Result<void> LimitsBefore::restore() const {
    Result<void> first = ok;
    for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
        Result<void> written = file_write_existing(file->directory.get(), file->name, file->text);
        if (!written && first) {
            first = std::move(written);
        }
    }
    return first;
}

Result<void> Cgroup::devices_filter(const std::vector<DeviceRule>& rules,
                                    std::vector<std::string>& warnings) const {
    const int directory = controller_fd("devices");
    if (directory < 0) {
        const int unified = unified_fd();
        if (unified >= 0) {
            return device_filter_attach(unified, rules);
        }
        warnings.push_back("this host has no devices cgroup, devices are not filtered");
        return ok;
    }
    TRY_VOID(file_write_existing(directory, "devices.deny", "a"));
    TRY(const Fd allow, Fd::openat(directory, "devices.allow", O_WRONLY));
    for (const DeviceRule& rule : rules) {
        const std::string text = rule.text();
        // One rule per write(2).
        if (::write(allow.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            return Error::from_errno(errno, "write", "devices.allow " + text)
                .with_kind(ErrorKind::invalid_argument);
        }
    }
    return ok;
}

}  // namespace davit
