#pragma once
/// Cgroups of one container, on a v1, v2 or hybrid host.
///
/// A CgroupLayout says which hierarchies the host has, and is read once. A Cgroup is the
/// container's directory in each hierarchy that is needed, held open: a path is resolved once. A
/// container has the same relative path in all of them ("/davit/<id>").
///
/// Processes enter when they are born: the v2 hierarchy by CLONE_INTO_CGROUP (unified_fd()), v1
/// ones by davit-init, first thing (placement() goes into the spec). On a hybrid host the v2
/// hierarchy has no controllers, but kills and freezes a container as a whole, so v1's freezer is
/// used on pure v1 hosts only.
///
/// Devices are filtered by v1's hierarchy where there is one, else by a BPF program
/// (device_filter.h).
///
/// Follows: cgroups(7); kernel admin-guide/cgroup-v1, admin-guide/cgroup-v2.rst.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcontainer/spec.h"
#include "reactor/base/fd.h"

namespace davit {

enum class CgroupMode : std::uint8_t { v1, v2, hybrid };

struct CgroupLayout {
    struct Hierarchy {
        std::string mount_point = {};  // "/sys/fs/cgroup/memory"
        /// v1: "cpu", "cpuacct"; v2: what cgroup.controllers says.
        std::vector<std::string> controllers = {};
        bool unified = false;
    };

    CgroupMode mode = CgroupMode::v2;
    std::vector<Hierarchy> hierarchies = {};
    /// v1: what the parents of a container that is given real-time get themselves; 0: what they
    /// have.
    std::int64_t realtime_runtime_us = 0;
    std::int64_t realtime_period_us = 0;

    /// The running host's. Errors: unsupported (no cgroups mounted).
    static Result<CgroupLayout> detect();

    /// From the text of /proc/self/mountinfo; pure. The unified hierarchy's controllers are left
    /// empty.
    static Result<CgroupLayout> parse(std::string_view mountinfo);

    /// The hierarchy with this controller, or null. v2's "freezer" is built in and not listed.
    const Hierarchy* find(std::string_view controller) const;
    const Hierarchy* unified() const;
};

/// What limits were before they were changed.
class LimitsBefore {
  public:
    /// Write them back, the last one changed first. Errors: the first file's that refuses.
    /// Blocks: as Cgroup::update().
    Result<void> restore() const;

  private:
    friend class Cgroup;

    struct File {
        Fd directory;
        std::string name;
        std::string text;
    };

    std::vector<File> files_;
};

/// Tells that memory ran out in a cgroup, and maybe that something was killed for it.
struct OomNotice {
    enum class Kind : std::uint8_t {
        event_counter,  // eventfd(2): readable.
        events_file,    // memory.events: has priority data until it is read from its beginning.
    };

    Fd fd;
    Kind kind = Kind::event_counter;
};

/// The removal of a container's cgroups as a value, for a worker thread.
struct CgroupRemoval {
    std::vector<std::string> directories;

    /// As Cgroup::remove(). Blocks: some tens of microseconds per directory, at times milliseconds.
    Result<void> operator()() const;
};

class Cgroup {
  public:
    /// Make the directories and write the limits that are set. Existing directories are an error:
    /// they belong to somebody else, or to a container that was not cleaned up. Takes:  path:
    /// "/davit/<id>"; parents are created. Gives:  what could not be applied here (a controller
    /// that is missing) in `warnings`. Errors: conflict (exists); invalid_argument (a limit that
    /// the kernel refuses); what was made is removed. Blocks: some tens of microseconds per
    /// hierarchy.
    static Result<Cgroup> create(const CgroupLayout& layout,
                                 const std::string& path,
                                 const Resources& resources,
                                 std::vector<std::string>& warnings);

    /// The directories of a container made by an earlier daemon; those that are gone are left out.
    static Result<Cgroup> open(const CgroupLayout& layout, const std::string& path);

    Cgroup(Cgroup&&) noexcept = default;
    Cgroup& operator=(Cgroup&&) noexcept = default;

    /// For LaunchRequest::cgroup_fd; -1 without a v2 hierarchy.
    int unified_fd() const;

    /// For ContainerSpec::cgroup.
    CgroupPlacement placement() const;

    /// Write the limits that are set. Errors: invalid_argument, permission_denied.
    /// Blocks: lowering a memory limit may reclaim; through offload() for a running container.
    Result<void> update(const Resources& resources, std::vector<std::string>& warnings);

    /// As update(), for processes that run: every limit is set, or none. A hierarchy that create()
    /// left out, since it had nothing to do, gets its directory now, and the processes.
    /// Errors: as update(); not_found (the cgroup is removed).
    Result<LimitsBefore> change(const Resources& resources, std::vector<std::string>& warnings);

    /// SIGKILL to every process: cgroup.kill, or freeze, signal and thaw on v1. They still have to
    /// be reaped.
    Result<void> kill();

    /// The freezer is asynchronous: frozen() tells when it has happened.
    Result<void> freeze();
    Result<void> thaw();
    Result<bool> frozen() const;

    /// The v2 directory that a process inside is in, which may be one that the container made.
    /// Where the container uses controllers in its own directory, only such ones can take a process
    /// (cgroup-v2.rst "No Internal Process Constraint"): clone3(2) into unified_fd() says EBUSY.
    /// Errors: not_found (it has ended); conflict (it is not inside).
    Result<Fd> leaf_of(pid_t pid) const;

    /// The pids inside, children included, as this process sees them.
    Result<std::vector<pid_t>> pids() const;

    /// How often the kernel killed a process inside for lack of memory.
    Result<std::uint64_t> oom_kill_count() const;

    /// Follows: kernel admin-guide/cgroup-v1/memory.rst "OOM Control"; cgroup-v2.rst
    /// "memory.events". Errors: unsupported (no memory controller).
    Result<OomNotice> oom_notice() const;

    /// Remove the directories. Safe to repeat. Errors: conflict (a process is still inside: wait
    /// for cgroup.events "populated 0" or the last exit and call again).
    Result<void> remove();

    /// What remove() would do, to be done elsewhere; removed() says that it went well.
    CgroupRemoval removal() const;

    void removed() { directories_.clear(); }

    bool is_removed() const { return directories_.empty(); }

    /// The directory with a controller; -1 if there is none. For reading statistics.
    int controller_fd(std::string_view controller) const;

  private:
    struct Directory {
        const CgroupLayout::Hierarchy* hierarchy;  // In layout_.
        Fd fd;
    };

    Cgroup(const CgroupLayout& layout, std::string path);

    Result<void> directories_make(const Resources& resources);
    bool needed(const CgroupLayout::Hierarchy& hierarchy, const Resources& resources) const;
    Result<void> v1_limits(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> v2_limits(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> realtime_give() const;
    Result<void> v1_realtime(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> v1_block_io(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> v2_block_io(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> v1_memory(const Resources& resources, std::vector<std::string>& warnings);
    Result<void> devices_filter(const std::vector<DeviceRule>& rules,
                                std::vector<std::string>& warnings) const;

    Result<void> join_needed(const Resources& resources);
    Result<void> processes_move(int directory) const;

    /// Write a limit of a controller; a missing controller or file is a warning.
    Result<void> limit_write(std::string_view controller,
                             const char* file,
                             const std::string& value,
                             std::vector<std::string>& warnings);

    /// The directory whose cgroup.procs list everything; never null in a created Cgroup.
    const Directory* process_directory() const;

    std::vector<CgroupLayout::Hierarchy> hierarchies_;
    CgroupMode mode_;
    std::string path_;
    std::int64_t realtime_runtime_us_;
    std::int64_t realtime_period_us_;
    std::vector<Directory> directories_;
    /// Where limit_write() notes what it overwrites; null: nowhere.
    LimitsBefore* before_ = nullptr;
};

/// The path in the v2 hierarchy, from the text of /proc/PID/cgroup; "" if there is none.
std::string unified_path_parse(std::string_view proc_cgroup);

/// v1 cpu.shares (2 to 262144) to v2 cpu.weight (1 to 10000), as runc converts.
std::uint64_t cpu_weight_from_shares(std::uint64_t shares);

}  // namespace davit
