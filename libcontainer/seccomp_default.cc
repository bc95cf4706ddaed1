// moby's default seccomp profile (profiles/seccomp/default_linux.go, engine 28) as tables of our
// own.
#include <linux/capability.h>
#include <sched.h>

#include <cerrno>

#include "libcontainer/seccomp.h"

namespace davit {

namespace {

// What every container may call.
constexpr std::string_view files =
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat "
    "faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
    "fchown "
    "fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr "
    "fstat "
    "fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents "
    "getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch "
    "ioctl "
    "lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr "
    "lseek "
    "lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat "
    "openat2 "
    "pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv "
    "removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr "
    "setxattrat "
    "splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee "
    "truncate "
    "truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write "
    "writev";

constexpr std::string_view memory =
    "brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock "
    "mlock2 "
    "mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc "
    "pkey_free "
    "pkey_mprotect process_mrelease remap_file_pages shmat shmctl shmdt shmget";

constexpr std::string_view processes =
    "alarm capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 "
    "futex_wait "
    "futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups "
    "getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid "
    "getresuid32 "
    "getrlimit get_robust_list getrusage getsid get_thread_area gettid getuid getuid32 ioprio_get "
    "ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self "
    "lsm_get_self_attr "
    "lsm_list_modules lsm_set_self_attr pause pidfd_open pidfd_send_signal prctl prlimit64 "
    "restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity "
    "sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam "
    "sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 "
    "setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
    "setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid set_thread_area "
    "set_tid_address "
    "setuid setuid32 sigaltstack sigprocmask sigreturn sysinfo tgkill tkill ugetrlimit uname vfork "
    "wait4 "
    "waitid waitpid process_vm_readv process_vm_writev ptrace";

constexpr std::string_view events =
    "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create epoll_create1 epoll_ctl "
    "epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 getitimer "
    "getrandom gettimeofday io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "io_setup "
    "io_submit nanosleep _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
    "setitimer "
    "signalfd signalfd4 time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime "
    "timerfd_settime64 times";

constexpr std::string_view messages =
    "accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr "
    "mq_notify "
    "mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
    "msgctl "
    "msgget msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop "
    "semtimedop "
    "semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";

#if defined(__x86_64__)
constexpr std::string_view architecture = "arch_prctl modify_ldt";
#else
constexpr std::string_view architecture =
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";
#endif

// What a capability opens.
struct CapabilityCalls {
    unsigned capability;
    std::string_view names;
};

constexpr CapabilityCalls capability_calls[] = {
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    {CAP_SYS_ADMIN,
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
     "mount_setattr "
     "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
     "syslog "
     "umount umount2 unshare"},
    {CAP_SYS_BOOT, "reboot"},
    {CAP_SYS_CHROOT, "chroot"},
    {CAP_SYS_MODULE, "delete_module init_module finit_module"},
    {CAP_SYS_PACCT, "acct"},
    {CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"},
    {CAP_SYS_RAWIO, "iopl ioperm"},
    {CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64"},
    {CAP_SYS_TTY_CONFIG, "vhangup"},
    {CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {CAP_SYSLOG, "syslog"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
};

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> names;
    while (!text.empty()) {
        const std::size_t end = text.find(' ');
        names.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return names;
}

SeccompRule allow(std::string_view names) {
    SeccompRule rule;
    rule.names = split(names);
    return rule;
}

SeccompRule allow_if(std::string_view name, SeccompArgument argument) {
    SeccompRule rule = allow(name);
    rule.arguments.push_back(argument);
    return rule;
}

void arguments_add(SeccompProfile& profile) {
    constexpr std::uint64_t vsock_family = 40;  // AF_VSOCK reaches the hypervisor.
    profile.rules.push_back(
        allow_if("socket", {.value = vsock_family, .compare = SeccompCompare::not_equal}));
    // PER_LINUX, PER_LINUX32, UNAME26 with each, and the query.
    for (const std::uint64_t persona : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL}) {
        profile.rules.push_back(allow_if("personality", {.value = persona}));
    }
    constexpr std::uint64_t namespace_flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                              CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                              CLONE_NEWCGROUP;
    SeccompRule clone = allow_if(
        "clone",
        {.value = namespace_flags, .value_two = 0, .compare = SeccompCompare::masked_equal});
    clone.excludes_any = capability_bit(CAP_SYS_ADMIN);
    profile.rules.push_back(std::move(clone));
    // A filter cannot look into clone3's argument block; ENOSYS makes the C library use clone.
    SeccompRule clone3;
    clone3.names = {"clone3"};
    clone3.action = SeccompAction::fail;
    clone3.errno_value = ENOSYS;
    clone3.excludes_any = capability_bit(CAP_SYS_ADMIN);
    profile.rules.push_back(std::move(clone3));
}

SeccompProfile profile_make() {
    SeccompProfile profile;
    profile.default_errno = EPERM;
    for (const std::string_view names :
         {files, memory, processes, events, messages, architecture}) {
        profile.rules.push_back(allow(names));
    }
    arguments_add(profile);
    for (const CapabilityCalls& calls : capability_calls) {
        SeccompRule rule = allow(calls.names);
        rule.needs_any = capability_bit(calls.capability);
        profile.rules.push_back(std::move(rule));
    }
    return profile;
}

}  // namespace

const SeccompProfile& seccomp_profile_default() {
    static const SeccompProfile profile = profile_make();
    return profile;
}

}  // namespace davit
