#include "libcontainer/launch.h"

#include <linux/close_range.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "libcontainer/init/plan_format.h"
#include "libcontainer/init/syscall.h"
#include "libcontainer/init_binary.h"

namespace davit {

namespace {

#define DAVIT_NO_SANITIZE __attribute__((noinline, no_sanitize("address", "undefined")))

/// Shared between launch() and the child, which runs in the same memory until it execs.
struct Handover {
    int* sources;  // Descriptors in the order of their numbers in init: 0, 1, 2, channel, plan,
                   // registers.
    int count;
    int init_fd;
    long error;  // Written by the child if it cannot exec; 0 otherwise.
};

/// The child between clone3 and execveat. It shares the daemon's memory while the daemon's thread
/// is suspended (CLONE_VM | CLONE_VFORK), so it makes raw system calls only: no errno, no locks, no
/// allocation.
extern "C" DAVIT_NO_SANITIZE [[noreturn]] void davit_launch_child(Handover* handover) {
    long done = 0;
    // First out of the way of the target numbers, then into place; dup3 drops close-on-exec.
    for (int i = 0; i < handover->count && done >= 0; ++i) {
        if (handover->sources[i] < handover->count) {
            done =
                raw::call(__NR_fcntl, handover->sources[i], F_DUPFD_CLOEXEC, handover->count + 1);
            handover->sources[i] = static_cast<int>(done);
        }
    }
    if (done >= 0 && handover->init_fd < handover->count) {
        done = raw::call(__NR_fcntl, handover->init_fd, F_DUPFD_CLOEXEC, handover->count + 1);
        handover->init_fd = static_cast<int>(done);
    }
    for (int i = 0; i < handover->count && done >= 0; ++i) {
        done = raw::call(__NR_dup3, handover->sources[i], i, 0);
    }
    if (done >= 0) {
        // Not closed but marked: init_fd is among them and must live until exec.
        raw::call(__NR_close_range, handover->count, ~0U, CLOSE_RANGE_CLOEXEC);
        const char* arguments[] = {"davit-init", nullptr};
        const char* environment[] = {nullptr};
        done = raw::call(__NR_execveat,
                         handover->init_fd,
                         "",
                         static_cast<const char**>(arguments),
                         static_cast<const char**>(environment),
                         AT_EMPTY_PATH);
    }
    handover->error = done;
    for (;;) {
        raw::call(__NR_exit, 127);
    }
}

/// clone3 with a stack of the child's own; the parent continues when the child has exec'd or ended.
DAVIT_NO_SANITIZE long clone_vfork(struct clone_args& arguments, Handover* handover) {
#if defined(__x86_64__)
    long result;
    register Handover* child_argument asm("r12") = handover;
    asm volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "xor %%ebp, %%ebp\n\t"
        "mov %%r12, %%rdi\n\t"
        "call davit_launch_child\n\t"
        "hlt\n"
        "1:\n\t"
        : "=a"(result)
        : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof(arguments)), "r"(child_argument)
        : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = SYS_clone3;
    register long x0 asm("x0") = reinterpret_cast<long>(&arguments);
    register long x1 asm("x1") = sizeof(arguments);
    register Handover* child_argument asm("x19") = handover;
    asm volatile(
        "svc 0\n\t"
        "cbnz x0, 1f\n\t"
        "mov x29, #0\n\t"
        "mov x0, x19\n\t"
        "bl davit_launch_child\n\t"
        "brk #1\n"
        "1:\n\t"
        : "+r"(x0)
        : "r"(x8), "r"(x1), "r"(child_argument)
        : "x30", "memory", "cc");
    return x0;
#endif
}

/// All signals blocked while the child may run on our memory: a handler must not run there.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        const std::uint64_t all = ~std::uint64_t{0};
        raw::call(__NR_rt_sigprocmask, SIG_BLOCK, &all, &before_, sizeof(all));
    }

    ~SignalsBlocked() {
        raw::call(__NR_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof(before_));
    }

    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    std::uint64_t before_ = 0;
};

Result<PidRef> clone_init(const LaunchRequest& request, Handover& handover) {
    constexpr std::size_t stack_bytes = 16 * 1024;
    alignas(16) char stack[stack_bytes];
    int pidfd = -1;

    struct clone_args arguments {};

    arguments.flags =
        request.clone_flags | CLONE_PIDFD | CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND;
    arguments.exit_signal = SIGCHLD;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    arguments.stack = reinterpret_cast<std::uint64_t>(stack);
    arguments.stack_size = stack_bytes;
    if (request.cgroup_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = static_cast<std::uint64_t>(request.cgroup_fd);
    }
    long pid = 0;
    {
        const SignalsBlocked blocked;
        pid = clone_vfork(arguments, &handover);
    }
    if (pid < 0) {
        return Error::from_errno(static_cast<int>(-pid), "clone3", "davit-init");
    }
    PidRef init(static_cast<pid_t>(pid), Fd(pidfd));
    if (handover.error != 0) {
        siginfo_t info{};
        while (::waitid(P_PIDFD, static_cast<id_t>(init.pidfd()), &info, WEXITED) != 0 &&
               errno == EINTR) {
        }
        return Error::from_errno(static_cast<int>(-handover.error), "execveat", "davit-init");
    }
    return init;
}

}  // namespace

Result<Fd> plan_memory_file(const LaunchPlan& plan) {
    return memory_file_sealed("davit-plan", plan.bytes, false);
}

Result<Launched> launch(const LaunchRequest& request) {
    assert(request.registers.size() <= plan::registers_max);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return Error::from_errno(errno, "socketpair");
    }
    Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) {
        return Error::from_errno(errno, "fcntl(F_SETFL)");
    }
    const int on = 1;  // What comes then says who sent it.
    if (::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
        return Error::from_errno(errno, "setsockopt(SO_PASSCRED)");
    }
    Fd null;
    std::vector<int> sources;
    sources.reserve(plan::first_register_fd + request.registers.size());
    for (const int fd : request.stdio) {
        if (fd < 0 && !null) {
            TRY(null, Fd::open("/dev/null", O_RDWR));
        }
        sources.push_back(fd < 0 ? null.get() : fd);
    }
    sources.push_back(theirs.get());
    sources.push_back(request.plan_fd);
    sources.insert(sources.end(), request.registers.begin(), request.registers.end());
    Handover handover{.sources = sources.data(),
                      .count = static_cast<int>(sources.size()),
                      .init_fd = request.init_fd,
                      .error = 0};
    TRY(PidRef init, clone_init(request, handover));
    return Launched{.init = std::move(init), .channel = std::move(ours)};
}

Result<void> launch_hand_over(int channel, const HandOver& given) {
    static_assert(hand_over_registers_max == plan::hand_over_fds_max - plan::hand_over_fds_min);
    if (given.registers.size() > hand_over_registers_max) {
        return Error(ErrorKind::invalid_argument,
                     "more than " + std::to_string(hand_over_registers_max) +
                         " descriptors for one message");
    }
    TRY(const Fd null, Fd::open("/dev/null", O_RDWR));
    std::array<int, plan::hand_over_fds_max> fds{given.plan_fd};
    std::size_t count = 1;
    for (const int fd : given.stdio) {
        fds[count++] = fd < 0 ? null.get() : fd;
    }
    for (const int fd : given.registers) {
        fds[count++] = fd;
    }
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {};
    iovec vector{.iov_base = const_cast<char*>(&plan::hand_over_byte), .iov_len = 1};
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(item), fds.data(), count * sizeof(int));
    if (::sendmsg(channel, &header, MSG_NOSIGNAL) != 1) {
        return Error::from_errno(errno, "sendmsg", "hand over");
    }
    return ok;
}

Result<void> launch_release(int channel) {
    if (::send(channel, &plan::release_byte, 1, MSG_NOSIGNAL) != 1) {
        return Error::from_errno(errno, "send", "release");
    }
    return ok;
}

}  // namespace davit
