#pragma once
/// Child processes of the benchmarks: programs run to their end and timed, and daemons.
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/pid_ref.h"

namespace davit::bench {

struct SpawnOptions {
    std::vector<std::string> argv;  // argv[0] is a path, or a name to be found in PATH.
    std::vector<std::string> environment_extra;
    std::string log_path;      // stdout and stderr are appended here; empty: /dev/null.
    int mount_namespace = -1;  // A namespace fd to enter first.
    int output = -1;           // stdout goes here instead.
    Nanoseconds limit{};       // process_run() kills what takes longer; 0: it may.
};

/// vfork + execve: cheap however large this process is. After interrupt_catch() the child leads a
/// process group of its own: the terminal's Ctrl-C is ours alone. Errors: not_found if argv[0] is.
Result<PidRef> process_spawn(const SpawnOptions& options);

/// Wait for the end of a child. Blocks. A child that is not awaited to its end is killed. Errors:
/// timed_out, cancelled (interrupt.h).
Result<ExitStatus> process_wait(const PidRef& child,
                                std::optional<MonotonicTime> deadline = std::nullopt);

/// Spawn and wait; an error unless it exits with 0.
Result<void> process_run(const SpawnOptions& options);

/// What came out of a pipe, and when.
struct Output {
    std::string text;
    std::optional<MonotonicTime> first;  // When the first byte was here.
};

/// Wait for the end of a child, and meanwhile add what the pipe's end brings to `output`. Errors:
/// as process_wait().
Result<ExitStatus> process_read(const PidRef& child,
                                int pipe,
                                Output& output,
                                std::optional<MonotonicTime> deadline);

/// SIGTERM, then SIGKILL if it has not ended after grace; reaps it. Blocks.
Result<void> process_stop(const PidRef& child, std::chrono::seconds grace);

/// ": " and the end of a log file, to be appended to an error; "" if there is nothing in it.
std::string log_tail(const std::string& path);

/// The path of a program, looked for in PATH and the sbin directories; "" if there is none.
std::string program_find(const std::string& name);

/// The first line that `NAME --version` writes; "" if there is none.
std::string program_version(const std::string& name);

/// A line of /proc/PID/status ("VmRSS:", "VmHWM:") in KiB; 0 if the process has ended.
long process_memory_kib(pid_t pid, const std::string& line);

/// VmHWM counts from now on. Follows: proc_pid_clear_refs(5), 5.
Result<void> process_peak_reset(pid_t pid);

/// The number behind a key of /proc/meminfo ("Dirty:", in KiB) or /proc/vmstat ("nr_dirty "); 0 if
/// there is none.
std::uint64_t proc_number(const char* file, const std::string& key);

/// The direct children of a process (needs CONFIG_PROC_CHILDREN).
std::vector<pid_t> process_children(pid_t pid);

/// Its share of all memory that is resident for it (Pss), in KiB; 0 if the process has ended.
long process_share_kib(pid_t pid);

/// CPU time that a process has taken, with that of the children it has waited for; 0 if it ended.
Nanoseconds process_cpu_time(pid_t pid);

/// A process and its descendants in its own PID namespace, and the helpers with this marker.
std::vector<pid_t> process_family(pid_t root, const std::string& marker);

/// What engines leave running for each container: whoever has marker in its command line and is a
/// conmon or a containerd-shim.
std::vector<pid_t> process_helpers(const std::string& marker);

/// Orphans below this process become its children from now on: none of an engine's is lost.
/// Follows: PR_SET_CHILD_SUBREAPER(2const).
Result<void> orphans_adopt();

/// CPU time of everything that descends from this process, now or once; without its own.
Nanoseconds descendants_cpu_time();

/// The children of this process, whichever thread's.
std::set<pid_t> children_list();

/// Wait until no child is left but these, as long as `grace`; reaps. Gives how many are left.
std::size_t children_settle(const std::set<pid_t>& kept, Nanoseconds grace);

/// SIGKILL to all children, and to what thereby becomes our child, until none is left but these.
void children_kill(const std::set<pid_t>& kept);

/// Unmount whatever is mounted below a directory, at once for us and lazily for who uses it.
void mounts_detach(const std::string& directory);

/// A mount namespace like ours but without the cgroup v2 hierarchy at /sys/fs/cgroup/unified:
/// crun (so also podman with crun) refuses a hybrid hierarchy. An invalid Fd if there is no such
/// mount, and so no need.
Result<Fd> mount_namespace_without_unified();

}  // namespace davit::bench
