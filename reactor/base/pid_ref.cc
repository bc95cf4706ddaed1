#include "reactor/base/pid_ref.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace davit {

Result<PidRef> PidRef::open(pid_t pid) {
    const long fd = ::syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        return Error::from_errno(errno, "pidfd_open", std::to_string(pid));
    }
    return PidRef(pid, Fd(static_cast<int>(fd)));
}

Result<void> PidRef::signal(int number) const {
    if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0) {
        return Error::from_errno(errno, "pidfd_send_signal", std::to_string(pid_));
    }
    return ok;
}

Result<std::optional<ExitStatus>> PidRef::try_reap() const {
    siginfo_t info{};
    int result = -1;
    do {
        result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return Error::from_errno(errno, "waitid", std::to_string(pid_));
    }
    if (info.si_pid == 0) {
        return std::optional<ExitStatus>{};
    }
    return std::optional<ExitStatus>(
        ExitStatus{.value = info.si_status, .signaled = info.si_code != CLD_EXITED});
}

}  // namespace davit
