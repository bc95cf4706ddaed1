#pragma once
/// What a container uses, as its cgroups count it. Follows: admin-guide/cgroup-v2.rst; admin-guide/
/// cgroup-v1 (cpuacct.rst, memory.rst, pids.rst, blkio-controller.rst).
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libcontainer/cgroup.h"

namespace davit {

/// One number of one block device.
struct BlockIo {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    /// "read" and "write" (v2); "Read", "Write", "Sync", ... "Total" (v1).
    std::string operation;
    std::uint64_t value = 0;

    bool operator==(const BlockIo&) const = default;
};

/// Times in nanoseconds.
struct CgroupStats {
    std::uint64_t cpu_total = 0;
    std::uint64_t cpu_kernel = 0;
    std::uint64_t cpu_user = 0;
    std::vector<std::uint64_t> cpu_each = {};  // By processor; v1 only.
    std::uint64_t periods = 0;
    std::uint64_t periods_throttled = 0;
    std::uint64_t throttled = 0;
    std::uint64_t memory = 0;
    std::uint64_t memory_max = 0;    // The most there ever was; v2 from kernel 5.19 on.
    std::uint64_t memory_limit = 0;  // 0: none.
    std::uint64_t memory_failures = 0;
    /// As memory.stat has them.
    std::vector<std::pair<std::string, std::uint64_t>> memory_stat = {};
    std::uint64_t pids = 0;
    /// Absent: none, or nobody counts.
    std::optional<std::uint64_t> pids_max = {};
    /// Absent where no controller counts them.
    std::optional<std::vector<BlockIo>> io_bytes = {};
    std::optional<std::vector<BlockIo>> io_operations = {};
    /// Counted by the v2 controllers.
    bool unified = false;
};

/// Descriptors of one container's cgroups, to be read by any thread: it keeps working while the
/// Cgroup is changed, and fails once it is removed.
class CgroupStatsReader {
  public:
    static Result<CgroupStatsReader> open(const Cgroup& cgroup);

    /// Numbers that no controller counts here are 0.
    /// Errors: not_found (the cgroup is removed).
    /// Blocks: some hundred microseconds, more on a machine with many processors.
    Result<CgroupStats> read() const;

  private:
    void read_v1(CgroupStats& stats) const;
    void read_v2(CgroupStats& stats) const;

    bool unified_ = false;
    /// Of a file in one of these there is no reading any more once the cgroup is removed.
    Fd cpu_;
    Fd cpuacct_;
    Fd memory_;
    Fd pids_;
    Fd block_;
};

}  // namespace davit
