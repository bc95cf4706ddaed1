#include "libcontainer/cgroup_stats.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

namespace davit {

namespace {

constexpr std::uint64_t nanoseconds_per_microsecond = 1000;

/// v1 writes "no limit" as the largest number of pages.
constexpr std::uint64_t v1_unlimited_min = std::numeric_limits<std::int64_t>::max() / 65536 * 65536;

std::string_view token_take(std::string_view& text, std::string_view separators) {
    text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
    const std::string_view token = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(token.size());
    return token;
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// "" for a file that is not there.
std::string text_of(const Fd& directory, const char* file) {
    if (!directory) {
        return {};
    }
    auto text = file_read(directory.get(), file);
    return text ? *std::move(text) : std::string();
}

std::uint64_t value_of(const Fd& directory, const char* file) {
    return number_of(text_of(directory, file));
}

std::vector<std::pair<std::string, std::uint64_t>> pairs_of(const Fd& directory, const char* file) {
    const std::string text = text_of(directory, file);
    std::vector<std::pair<std::string, std::uint64_t>> pairs;
    std::string_view rest = text;
    while (true) {
        const std::string_view key = token_take(rest, " \n");
        const std::string_view value = token_take(rest, " \n");
        if (value.empty()) {
            return pairs;
        }
        pairs.emplace_back(key, number_of(value));
    }
}

std::uint64_t pair_value(const std::vector<std::pair<std::string, std::uint64_t>>& pairs,
                         std::string_view key) {
    const auto found = std::ranges::find(pairs, key, &std::pair<std::string, std::uint64_t>::first);
    return found == pairs.end() ? 0 : found->second;
}

/// A limit that may be "max".
std::optional<std::uint64_t> limit_of(const Fd& directory, const char* file) {
    const std::string text = text_of(directory, file);
    if (text.empty() || text.starts_with("max")) {
        return std::nullopt;
    }
    return number_of(text);
}

/// v1: "8:0 Read 4096", and at the end "Total 8192".
std::optional<std::vector<BlockIo>> v1_block_io(const Fd& directory,
                                                std::initializer_list<const char*> files) {
    std::optional<std::vector<BlockIo>> found;
    for (const char* file : files) {
        const std::string text = text_of(directory, file);
        if (text.empty()) {
            continue;
        }
        found.emplace();
        std::string_view rest = text;
        while (!rest.empty()) {
            std::string_view line = token_take(rest, "\n");
            const std::string_view device = token_take(line, " ");
            const std::size_t colon = device.find(':');
            if (colon != std::string_view::npos) {
                BlockIo io{number_of(device), number_of(device.substr(colon + 1)), {}, 0};
                io.operation = token_take(line, " ");
                io.value = number_of(token_take(line, " "));
                found->push_back(std::move(io));
            }
        }
        if (!found->empty()) {
            break;  // Else another scheduler may be the one that counts.
        }
    }
    return found;
}

/// v2: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 ...".
void v2_block_io(const Fd& directory, CgroupStats& stats) {
    if (!directory || ::faccessat(directory.get(), "io.stat", F_OK, 0) != 0) {
        return;
    }
    const std::string text = text_of(directory, "io.stat");
    auto& bytes = stats.io_bytes.emplace();
    auto& operations = stats.io_operations.emplace();
    std::string_view rest = text;
    while (!rest.empty()) {
        std::string_view line = token_take(rest, "\n");
        const std::string_view device = token_take(line, " ");
        const std::size_t colon = device.find(':');
        while (colon != std::string_view::npos && !line.empty()) {
            const std::string_view pair = token_take(line, " ");
            const std::size_t sign = std::min(pair.find('='), pair.size());
            const std::string_view key = pair.substr(0, sign);
            BlockIo io{number_of(device), number_of(device.substr(colon + 1)), {}, 0};
            io.value = number_of(pair.substr(std::min(sign + 1, pair.size())));
            if (key == "rbytes" || key == "wbytes") {
                io.operation = key == "rbytes" ? "read" : "write";
                bytes.push_back(std::move(io));
            } else if (key == "rios" || key == "wios") {
                io.operation = key == "rios" ? "read" : "write";
                operations.push_back(std::move(io));
            }
        }
    }
}

}  // namespace

Result<CgroupStatsReader> CgroupStatsReader::open(const Cgroup& cgroup) {
    CgroupStatsReader reader;
    const auto take = [&cgroup](Fd& slot, const char* controller) -> Result<void> {
        const int fd = cgroup.controller_fd(controller);
        if (fd >= 0) {
            TRY(slot, Fd::duplicate(fd));
        }
        return ok;
    };
    TRY_VOID(take(reader.cpu_, "cpu"));
    TRY_VOID(take(reader.cpuacct_, "cpuacct"));
    TRY_VOID(take(reader.memory_, "memory"));
    TRY_VOID(take(reader.pids_, "pids"));
    TRY_VOID(take(reader.block_, "io"));
    if (!reader.block_) {
        TRY_VOID(take(reader.block_, "blkio"));
    }
    const int unified = cgroup.unified_fd();
    reader.unified_ = unified >= 0 && !reader.cpuacct_ &&
                      (cgroup.controller_fd("memory") == unified || !reader.memory_);
    if (reader.unified_ && !reader.cpu_) {
        TRY(reader.cpu_, Fd::duplicate(unified));  // cpu.stat is there without the controller.
    }
    return reader;
}

Result<CgroupStats> CgroupStatsReader::read() const {
    for (const Fd* fd : {&memory_, &cpuacct_, &cpu_, &pids_}) {
        struct stat status {};

        if (*fd && (::fstat(fd->get(), &status) != 0 || status.st_nlink == 0 ||
                    ::faccessat(fd->get(), "cgroup.procs", F_OK, 0) != 0)) {
            return Error(ErrorKind::not_found, "the cgroup is removed");
        }
    }
    CgroupStats stats;
    stats.unified = unified_;
    if (unified_) {
        read_v2(stats);
    } else {
        read_v1(stats);
    }
    return stats;
}

void CgroupStatsReader::read_v1(CgroupStats& stats) const {
    stats.cpu_total = value_of(cpuacct_, "cpuacct.usage");
    stats.cpu_kernel = value_of(cpuacct_, "cpuacct.usage_sys");
    stats.cpu_user = value_of(cpuacct_, "cpuacct.usage_user");
    const std::string each = text_of(cpuacct_, "cpuacct.usage_percpu");
    for (std::string_view rest = each; !rest.empty();) {
        if (const std::string_view number = token_take(rest, " \n"); !number.empty()) {
            stats.cpu_each.push_back(number_of(number));
        }
    }
    const auto cpu = pairs_of(cpu_, "cpu.stat");
    stats.periods = pair_value(cpu, "nr_periods");
    stats.periods_throttled = pair_value(cpu, "nr_throttled");
    stats.throttled = pair_value(cpu, "throttled_time");
    stats.memory = value_of(memory_, "memory.usage_in_bytes");
    stats.memory_max = value_of(memory_, "memory.max_usage_in_bytes");
    stats.memory_failures = value_of(memory_, "memory.failcnt");
    const std::uint64_t limit = value_of(memory_, "memory.limit_in_bytes");
    stats.memory_limit = limit >= v1_unlimited_min ? 0 : limit;
    stats.memory_stat = pairs_of(memory_, "memory.stat");
    stats.pids = value_of(pids_, "pids.current");
    stats.pids_max = limit_of(pids_, "pids.max");
    stats.io_bytes = v1_block_io(
        block_,
        {"blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"});
    stats.io_operations = v1_block_io(
        block_, {"blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"});
}

void CgroupStatsReader::read_v2(CgroupStats& stats) const {
    const auto cpu = pairs_of(cpu_, "cpu.stat");
    stats.cpu_total = pair_value(cpu, "usage_usec") * nanoseconds_per_microsecond;
    stats.cpu_kernel = pair_value(cpu, "system_usec") * nanoseconds_per_microsecond;
    stats.cpu_user = pair_value(cpu, "user_usec") * nanoseconds_per_microsecond;
    stats.periods = pair_value(cpu, "nr_periods");
    stats.periods_throttled = pair_value(cpu, "nr_throttled");
    stats.throttled = pair_value(cpu, "throttled_usec") * nanoseconds_per_microsecond;
    stats.memory = value_of(memory_, "memory.current");
    stats.memory_max = value_of(memory_, "memory.peak");
    stats.memory_limit = limit_of(memory_, "memory.max").value_or(0);
    stats.memory_failures = pair_value(pairs_of(memory_, "memory.events"), "oom");
    stats.memory_stat = pairs_of(memory_, "memory.stat");
    stats.pids = value_of(pids_, "pids.current");
    stats.pids_max = limit_of(pids_, "pids.max");
    v2_block_io(block_, stats);
}

}  // namespace davit
