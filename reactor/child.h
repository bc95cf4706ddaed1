#pragma once
/// Child processes: their end is an event on their pidfd.
#include "reactor/base/pid_ref.h"
#include "reactor/task.h"

namespace davit {

/// Wait for a child of ours to end, and reap it. One waiter per process. Follows: pidfd_open(2),
/// waitid(2). Errors: cancelled (the child is then not reaped).
Task<ExitStatus> child_wait(const PidRef& child);

}  // namespace davit
