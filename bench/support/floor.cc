#include "bench/support/floor.h"

#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include <fmt/format.h>

#include "bench/support/floor_child.h"

namespace davit::bench {

struct Floor::Shared : FloorChildReport {};

namespace {

constexpr const char* cgroup_v1_controllers[] = {"memory", "pids", "cpu"};
std::atomic<unsigned> floor_count = 0;

/// A container's cgroups: its own directory in each hierarchy, removed again by remove().
struct Cgroups {
    std::string unified;          // The v2 directory, "" without v2.
    std::vector<std::string> v1;  // The v1 directories.
    std::vector<Fd> tasks;        // The tasks files of the v1 directories.
    Fd unified_fd;

    Result<void> make(const std::string& name);
    Result<void> remove() const;
};

Result<void> Cgroups::make(const std::string& name) {
    for (const char* controller : cgroup_v1_controllers) {
        const std::string base = fmt::format("/sys/fs/cgroup/{}", controller);
        if (access((base + "/tasks").c_str(), F_OK) != 0) {
            continue;
        }
        v1.push_back(base + "/" + name);
        if (mkdir(v1.back().c_str(), 0755) != 0) {
            return Error::from_errno(errno, "mkdir", v1.back());
        }
        // Writing "0" to tasks moves just the caller, and so spares the kernel its system-wide
        // lock: through cgroup.procs the first move after a quiet moment waits for an RCU grace
        // period (16 ms against 2 on the same busy machine).
        TRY(Fd fd, Fd::open(v1.back() + "/tasks", O_WRONLY));
        tasks.push_back(std::move(fd));
    }
    for (const char* base : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
        if (access(fmt::format("{}/cgroup.procs", base).c_str(), F_OK) == 0) {
            unified = fmt::format("{}/{}", base, name);
            if (mkdir(unified.c_str(), 0755) != 0) {
                return Error::from_errno(errno, "mkdir", unified);
            }
            TRY(unified_fd, Fd::open(unified, O_PATH | O_DIRECTORY));
            break;
        }
    }
    return ok;
}

Result<void> Cgroups::remove() const {
    std::vector<std::string> all = v1;
    if (!unified.empty()) {
        all.push_back(unified);
    }
    for (const std::string& path : all) {
        if (rmdir(path.c_str()) != 0) {
            return Error::from_errno(errno, "rmdir", path);
        }
    }
    return ok;
}

Result<void> fsconfig_string(int context, const char* key, const std::string& value) {
    if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) {
        return Error::from_errno(errno, "fsconfig", key);
    }
    return ok;
}

Result<Fd> overlay_mount(const std::string& lower, const std::string& upper) {
    for (const char* part : {"", "/u", "/w"}) {
        if (mkdir((upper + part).c_str(), 0755) != 0) {
            return Error::from_errno(errno, "mkdir", upper + part);
        }
    }
    Fd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
    if (!context) {
        return Error::from_errno(errno, "fsopen", "overlay");
    }
    TRY_VOID(fsconfig_string(context.get(), "lowerdir", lower));
    TRY_VOID(fsconfig_string(context.get(), "upperdir", upper + "/u"));
    TRY_VOID(fsconfig_string(context.get(), "workdir", upper + "/w"));
    if (syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return Error::from_errno(errno, "fsconfig", "overlay create");
    }
    Fd mount(static_cast<int>(syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
    if (!mount) {
        return Error::from_errno(errno, "fsmount", "overlay");
    }
    return mount;
}

/// clone3 like fork: the child runs on a copy of our memory, and makes system calls only.
Result<PidRef> clone_child(const FloorChildPlan& plan, FloorIsolation isolation, int cgroup) {
    clone_args args{};
    int pidfd = -1;
    args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD;
    if (isolation == FloorIsolation::full) {
        args.flags |= CLONE_NEWNET | CLONE_NEWCGROUP;
    }
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<std::uint64_t>(cgroup);
    }
    args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    const long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0) {
        return Error::from_errno(errno, "clone3");
    }
    if (pid == 0) {
        floor_child_run(plan);
    }
    return PidRef(static_cast<pid_t>(pid), Fd(pidfd));
}

Result<void> child_reap(const PidRef& child, const FloorChildReport& report) {
    pollfd waited = {child.pidfd(), POLLIN, 0};
    while (poll(&waited, 1, -1) < 0 && errno == EINTR) {
    }
    TRY(std::optional<ExitStatus> status, child.try_reap());
    if (!status || status->shell_code() != 0) {
        return Error(ErrorKind::internal,
                     fmt::format("floor child ended with {}: {}: {}",
                                 status ? status->shell_code() : -1,
                                 report.failed == nullptr ? "exec" : report.failed,
                                 errno_text(report.errno_value)));
    }
    return ok;
}

}  // namespace

std::string_view floor_phase_name(FloorPhase phase) {
    switch (phase) {
        case FloorPhase::cgroup:
            return "cgroup";
        case FloorPhase::overlay:
            return "overlay";
        case FloorPhase::clone:
            return "clone";
        case FloorPhase::join:
            return "join v1 cgroups";
        case FloorPhase::mounts:
            return "mounts";
        case FloorPhase::confine:
            return "confine";
        case FloorPhase::exec:
            return "exec to reaped";
        case FloorPhase::clean:
            return "clean";
    }
    return "";
}

Result<Floor> Floor::make(Config config) {
    void* page =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return Error::from_errno(errno, "mmap");
    }
    auto* shared = new (page) Shared();
    config.scratch += fmt::format("/floor-{}", floor_count.fetch_add(1));
    Floor floor(std::move(config), shared);
    for (const std::string& path : {floor.config_.scratch, floor.config_.scratch + "/root"}) {
        if (mkdir(path.c_str(), 0755) != 0) {
            return Error::from_errno(errno, "mkdir", path);
        }
    }
    return floor;
}

Floor::Floor(Floor&& other) noexcept
    : config_(std::move(other.config_)),
      shared_(std::exchange(other.shared_, nullptr)),
      serial_(other.serial_) {}

Floor::~Floor() {
    if (shared_ != nullptr) {
        munmap(shared_, sizeof(Shared));
    }
}

Result<FloorTimes> Floor::run() {
    const std::uint64_t serial = serial_++;
    const bool full = config_.isolation == FloorIsolation::full;
    const std::string upper = fmt::format("{}/{}", config_.scratch, serial);
    const std::string root = config_.scratch + "/root";
    const auto slash = config_.scratch.rfind('/') + 1;
    const std::string name =
        fmt::format("davit-{}-{}-{}", config_.scratch.substr(slash), getpid(), serial);
    *shared_ = Shared();

    const MonotonicTime begun = monotonic_now();
    Cgroups cgroups;
    if (full) {
        TRY_VOID(cgroups.make(name));
    }
    const MonotonicTime grouped = monotonic_now();
    TRY(Fd overlay, overlay_mount(config_.lower, upper));
    const MonotonicTime mounted = monotonic_now();

    FloorChildPlan plan;
    plan.full = full;
    plan.overlay = overlay.get();
    plan.root = root.c_str();
    plan.hostname = "floor";
    plan.report = shared_;
    for (std::size_t index = 0; index < cgroups.tasks.size(); ++index) {
        plan.cgroup_tasks[index] = cgroups.tasks[index].get();
    }
    TRY(PidRef child, clone_child(plan, config_.isolation, cgroups.unified_fd.get()));
    TRY_VOID(child_reap(child, *shared_));
    const MonotonicTime reaped = monotonic_now();

    overlay.reset();
    cgroups.tasks.clear();
    TRY_VOID(cgroups.remove());
    TRY_VOID(remove_tree(AT_FDCWD, upper));
    const MonotonicTime cleaned = monotonic_now();

    const MonotonicTime marks[] = {begun,
                                   grouped,
                                   mounted,
                                   shared_->started,
                                   shared_->joined,
                                   shared_->mounted,
                                   shared_->confined,
                                   reaped,
                                   cleaned};
    FloorTimes times;
    times.whole = cleaned - begun;
    for (std::size_t index = 0; index < floor_phase_count; ++index) {
        times.phases[index] = marks[index + 1] - marks[index];
    }
    return times;
}

}  // namespace davit::bench
