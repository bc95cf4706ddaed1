#pragma once
/// Child processes: their end is an event on their pidfd.
#include "reactor/base/pid_ref.h"
#include "reactor/task.h"

namespace davit {

/// Wait for a child of ours to end, and reap it. One waiter per process. Follows: pidfd_open(2),
/// waitid(2). Errors: cancelled (the child is then not reaped).
Task<ExitStatus> child_wait(const PidRef& child);

/// As child_wait(), but leave the child to be reaped (PidRef::try_reap): until then whoever becomes
/// its parent, should we die, learns the same. Errors: cancelled.
Task<ExitStatus> child_ended(const PidRef& child);

/// Wait until a process has ended, whether or not somebody has reaped it. Errors: cancelled.
Task<void> process_ended(const PidRef& process);

/// Wait for the end of a process that is no child of ours.
/// Gives: how it ended, once its parent has reaped it; nothing on kernels before 6.15, or if nobody
///        reaps it within a second. Follows: pidfd_open(2), PIDFD_GET_INFO. Errors: cancelled.
Task<std::optional<ExitStatus>> stranger_ended(const PidRef& process);

}  // namespace davit
