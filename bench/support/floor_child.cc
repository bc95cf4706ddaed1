#include "bench/support/floor_child.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace davit::bench {
namespace {

/// Docker's default lists (moby: oci/defaults.go).
constexpr const char* masked_files[] = {"/proc/kcore",
                                        "/proc/keys",
                                        "/proc/latency_stats",
                                        "/proc/timer_list",
                                        "/proc/timer_stats",
                                        "/proc/sched_debug"};
constexpr const char* masked_directories[] = {
    "/proc/asound", "/proc/acpi", "/proc/scsi", "/sys/firmware"};
constexpr const char* readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
/// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
/// MKNOD AUDIT_WRITE SETFCAP.
constexpr std::uint32_t capabilities_default = 0xa80425fb;

/// The subtree for leaves [first, first + count), count a power of two: left half next, right half
/// after it.
void tree_emit(sock_filter* code,
               unsigned short& length,
               unsigned first,
               unsigned count,
               unsigned calls_per_leaf) {
    if (count == 1) {
        code[length++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        return;
    }
    const unsigned half = count / 2;
    const auto left_length = static_cast<unsigned char>(2 * half - 1);
    const unsigned middle = (first + half) * calls_per_leaf;
    code[length++] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, middle, left_length, 0);
    tree_emit(code, length, first, half, calls_per_leaf);
    tree_emit(code, length, first + half, half, calls_per_leaf);
}

class Child {
  public:
    explicit Child(const FloorChildPlan& plan) : plan_(plan), report_(*plan.report) {}

    [[noreturn]] void run();

  private:
    /// Leave with the name of the call, unless it worked.
    void check(long result, const char* what) const {
        if (result < 0) {
            report_.failed = what;
            report_.errno_value = errno;
            _exit(125);
        }
    }

    void join_cgroups() const;
    void attach_root() const;
    void mount_system() const;
    void mask_paths() const;
    void loopback_up() const;
    void drop_capabilities() const;
    void filter_calls() const;

    void mount_one(const char* type,
                   const char* target,
                   unsigned long flags,
                   const char* data) const {
        check(mount(type, target, type, flags, data), target);
    }

    const FloorChildPlan& plan_;
    FloorChildReport& report_;
};

void Child::join_cgroups() const {
    for (const int tasks : plan_.cgroup_tasks) {
        if (tasks >= 0) {
            check(write(tasks, "0", 1), "cgroup v1 tasks");
        }
    }
}

void Child::attach_root() const {
    check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "private /");
    check(syscall(SYS_move_mount, plan_.overlay, "", AT_FDCWD, plan_.root, MOVE_MOUNT_F_EMPTY_PATH),
          "move_mount");
    check(chdir(plan_.root), "chdir");
}

void Child::mount_system() const {
    mount_one("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
    if (!plan_.full) {
        return;
    }
    mount_one("tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");

    struct Node {
        const char* path;
        unsigned minor;
        unsigned major;
    };

    constexpr Node nodes[] = {{"dev/null", 3, 1},
                              {"dev/zero", 5, 1},
                              {"dev/full", 7, 1},
                              {"dev/random", 8, 1},
                              {"dev/urandom", 9, 1},
                              {"dev/tty", 0, 5}};
    umask(0);
    for (const Node& node : nodes) {
        check(mknod(node.path, S_IFCHR | 0666, makedev(node.major, node.minor)), node.path);
    }
    umask(022);
    constexpr const char* links[][2] = {{"/proc/self/fd", "dev/fd"},
                                        {"/proc/self/fd/0", "dev/stdin"},
                                        {"/proc/self/fd/1", "dev/stdout"},
                                        {"/proc/self/fd/2", "dev/stderr"},
                                        {"pts/ptmx", "dev/ptmx"}};
    for (const auto& link : links) {
        check(symlink(link[0], link[1]), link[1]);
    }
    for (const char* directory : {"dev/pts", "dev/shm", "dev/mqueue"}) {
        check(mkdir(directory, 0755), directory);
    }
    mount_one(
        "devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5");
    mount_one("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
    mount_one("mqueue", "dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
    mount_one("sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, nullptr);
}

/// After pivot_root, so that the paths are the container's. What this kernel lacks is skipped.
void Child::mask_paths() const {
    for (const char* path : masked_files) {
        if (mount("/dev/null", path, nullptr, MS_BIND, nullptr) != 0 && errno != ENOENT) {
            check(-1, path);
        }
    }
    for (const char* path : masked_directories) {
        if (mount("tmpfs", path, "tmpfs", MS_RDONLY, nullptr) != 0 && errno != ENOENT) {
            check(-1, path);
        }
    }
    for (const char* path : readonly_paths) {
        if (mount(path, path, nullptr, MS_BIND | MS_REC, nullptr) != 0) {
            if (errno != ENOENT) {
                check(-1, path);
            }
            continue;
        }
        constexpr unsigned long flags =
            MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
        check(mount(nullptr, path, nullptr, flags, nullptr), path);
    }
}

void Child::loopback_up() const {
    const int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(handle, "socket");
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(ioctl(handle, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
    close(handle);
}

void Child::drop_capabilities() const {
    for (unsigned long number = 0; prctl(PR_CAPBSET_READ, number) >= 0; ++number) {
        const bool kept = number < 32 && ((capabilities_default >> number) & 1U) != 0;
        if (!kept) {
            check(prctl(PR_CAPBSET_DROP, number), "PR_CAPBSET_DROP");
        }
    }
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {{capabilities_default, capabilities_default, 0}, {0, 0, 0}};
    check(syscall(SYS_capset, &header, data), "capset");
}

/// A filter that finds its answer among 64 ranges of call numbers by a tree of comparisons, about
/// what a default profile comes to at its best. What counts is what the kernel does with it: check,
/// compile, and run it once per call number to fill its cache (760 instructions in a row cost
/// 0.7 ms more for that alone).
void Child::filter_calls() const {
    constexpr unsigned leaf_count = 64;
    constexpr unsigned calls_per_leaf = 8;
    static sock_filter code[2 * leaf_count];
    unsigned short length = 0;
    code[length++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    tree_emit(code, length, 0, leaf_count, calls_per_leaf);
    sock_fprog program = {length, code};
    check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

void Child::run() {
    report_.started = monotonic_now();
    join_cgroups();
    report_.joined = monotonic_now();
    attach_root();
    mount_system();
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount old root");
    check(chdir("/"), "chdir /");
    if (plan_.full) {
        mask_paths();
    }
    report_.mounted = monotonic_now();
    if (plan_.full) {
        check(sethostname(plan_.hostname, std::strlen(plan_.hostname)), "sethostname");
        loopback_up();
        // Before the capabilities go: without no_new_privs, seccomp needs CAP_SYS_ADMIN.
        filter_calls();
        drop_capabilities();
    }
    report_.confined = monotonic_now();
    char name[] = "true";
    char path[] = "PATH=/bin";
    char* const argv[] = {name, nullptr};
    char* const envp[] = {path, nullptr};
    execve("/bin/true", argv, envp);
    check(-1, "execve");
    _exit(125);
}

}  // namespace

void floor_child_run(const FloorChildPlan& plan) {
    Child(plan).run();
}

}  // namespace davit::bench
