#pragma once
/// Stopping every process of a container where it is. Follows: cgroups(7), cgroup.freeze;
/// admin-guide/cgroup-v1/freezer-subsystem.
#include "libcontainer/cgroup.h"
#include "reactor/task.h"

namespace davit {

/// Freeze, and wait until every process inside stands still; thaw() is the way back.
/// Errors: timed_out (something sits in an uninterruptible call; it is thawed again); unsupported
///         (no freezer, or the cgroup has gone); cancelled (thawed again).
Task<void> cgroup_freeze(Cgroup& cgroup);

}  // namespace davit
