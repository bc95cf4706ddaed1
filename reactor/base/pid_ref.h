#pragma once
/// PidRef: a process named by pid and pidfd together; a bare pid may be reused, a pidfd never is.
#include <sys/types.h>

#include "reactor/base/fd.h"

namespace davit {

/// How a process ended. Follows: wait(2).
struct ExitStatus {
    /// The exit code, or the signal number if signaled.
    int value = 0;
    bool signaled = false;

    /// Docker's and the shell's number: the code, or 128 + signal.
    int shell_code() const { return signaled ? 128 + value : value; }
};

class PidRef {
  public:
    PidRef() = default;

    /// From clone3 with CLONE_PIDFD: takes the pidfd.
    PidRef(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

    /// pidfd_open(2) of a running process. Errors: not_found.
    static Result<PidRef> open(pid_t pid);

    pid_t pid() const { return pid_; }

    int pidfd() const { return pidfd_.get(); }

    explicit operator bool() const { return static_cast<bool>(pidfd_); }

    /// pidfd_send_signal(2). Errors: not_found when it has ended.
    Result<void> signal(int number) const;

    /// waitid(2) P_PIDFD WNOHANG: the status if the child has ended (it is reaped then), else
    /// nothing.
    Result<std::optional<ExitStatus>> try_reap() const;

  private:
    pid_t pid_ = -1;
    Fd pidfd_;
};

}  // namespace davit
