#include "reactor/child.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <cerrno>

#include "reactor/poller.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// The beginning of linux/pidfd.h's struct pidfd_info, of which the kernel fills as much as the
/// request's number says; distributions' headers are older than what is asked for.
struct PidfdInfo {
    std::uint64_t mask = 0;
    std::uint64_t cgroup_id = 0;
    std::uint32_t ids[11] = {};
    std::int32_t exit_code = 0;
};

constexpr std::uint64_t info_exit = 1 << 3;  // PIDFD_INFO_EXIT

/// Nothing before it is reaped, and on kernels that do not know.
std::optional<ExitStatus> exit_of_reaped(const PidRef& process) {
    PidfdInfo info;
    info.mask = info_exit;
    if (::ioctl(process.pidfd(), _IOWR(0xFF, 11, PidfdInfo), &info) != 0 ||
        (info.mask & info_exit) == 0) {
        return std::nullopt;
    }
    const int status = info.exit_code;
    return ExitStatus{.value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                      .signaled = WIFSIGNALED(status)};
}

/// As PidRef::try_reap(), without reaping.
Result<std::optional<ExitStatus>> try_peek(const PidRef& child) {
    siginfo_t info{};
    int result = -1;
    do {
        result =
            ::waitid(P_PIDFD, static_cast<id_t>(child.pidfd()), &info, WEXITED | WNOHANG | WNOWAIT);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return Error::from_errno(errno, "waitid", std::to_string(child.pid()));
    }
    if (info.si_pid == 0) {
        return std::optional<ExitStatus>{};
    }
    return std::optional<ExitStatus>(
        ExitStatus{.value = info.si_status, .signaled = info.si_code != CLD_EXITED});
}

Task<void> hang_up(Poller& poller) {
    co_return co_await poller.hung_up();
}

/// PidRef::try_reap(), or without reaping.
using Look = Result<std::optional<ExitStatus>> (*)(const PidRef&);

Result<std::optional<ExitStatus>> try_reap(const PidRef& child) {
    return child.try_reap();
}

/// A process that somebody traces has ended, and its parent hears of it when the tracer lets go:
/// until then the pidfd is readable, and there is nothing to reap. Waits for the kernel to wake the
/// pidfd's waiters again, instead of looking over and over.
Task<ExitStatus> traced_wait(const PidRef& child, Look look) {
    Fd edges(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (!edges || ::epoll_ctl(edges.get(), EPOLL_CTL_ADD, child.pidfd(), &event) != 0) {
        co_return Error::from_errno(errno, "epoll", "pidfd");
    }
    CO_TRY(Poller poller, Poller::make(edges.get()));
    for (;;) {
        static_cast<void>(::epoll_wait(edges.get(), &event, 1, 0));  // Takes the edge.
        CO_TRY(const std::optional<ExitStatus> status, look(child));
        if (status) {
            co_return *status;
        }
        CO_CHECK(co_await poller.readable());
    }
}

Task<ExitStatus> end_wait(const PidRef& child, Look look) {
    CO_TRY(std::optional<ExitStatus> status, look(child));
    if (!status) {
        CO_TRY(Poller poller, Poller::make(child.pidfd()));
        CO_CHECK(co_await poller.readable());
        CO_TRY(status, look(child));
    }
    if (!status) {
        co_return co_await traced_wait(child, look);
    }
    co_return *status;
}

}  // namespace

Task<ExitStatus> child_wait(const PidRef& child) {
    co_return co_await end_wait(child, try_reap);
}

Task<ExitStatus> child_ended(const PidRef& child) {
    co_return co_await end_wait(child, try_peek);
}

Task<void> process_ended(const PidRef& process) {
    CO_TRY(Poller poller, Poller::make(process.pidfd()));
    co_return co_await poller.readable();
}

Task<std::optional<ExitStatus>> stranger_ended(const PidRef& process) {
    CO_TRY(Poller poller, Poller::make(process.pidfd()));
    CO_CHECK(co_await poller.readable());
    std::optional<ExitStatus> status = exit_of_reaped(process);
    if (!status) {
        const Result<void> reaped = co_await with_timeout(std::chrono::seconds(1), hang_up(poller));
        if (!reaped && reaped.error().kind() == ErrorKind::cancelled) {
            co_return reaped.error();
        }
        status = exit_of_reaped(process);
    }
    co_return std::move(status);
}

}  // namespace davit
