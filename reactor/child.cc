#include "reactor/child.h"

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

}  // namespace

Task<ExitStatus> child_ended(const PidRef& child) {
    CO_TRY(Poller poller, Poller::make(child.pidfd()));
    for (;;) {
        CO_TRY(const std::optional<ExitStatus> status, try_peek(child));
        if (status) {
            co_return *status;
        }
        CO_CHECK(co_await poller.readable());
    }
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

Task<ExitStatus> child_wait(const PidRef& child) {
    CO_TRY(Poller poller, Poller::make(child.pidfd()));
    for (;;) {
        CO_TRY(const std::optional<ExitStatus> status, child.try_reap());
        if (status) {
            co_return *status;
        }
        CO_CHECK(co_await poller.readable());
    }
}

}  // namespace davit
