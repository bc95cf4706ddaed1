#pragma once
#include <string>

#include "libcontainer/cgroup.h"
#include "reactor/task.h"

namespace davit {

/// Cgroup::remove() on a worker. Errors: as that; cancelled. The cgroup must outlive it.
Task<void> cgroup_remove(Cgroup& cgroup);

/// Kill what is left in a container's cgroups and remove them. The kernel lets go of a dead task a
/// moment after its exit, so a busy cgroup is tried again, for about four seconds; then it is
/// logged and left for the next start. name is for the log. Errors: cancelled.
Task<void> cgroup_clean_up(Cgroup& cgroup, std::string name);

}  // namespace davit
