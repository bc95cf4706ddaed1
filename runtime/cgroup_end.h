#pragma once
#include "libcontainer/cgroup.h"

namespace davit {

/// Kill what is in a cgroup, wait until it has ended, and remove the directories. Safe to repeat.
/// Errors: conflict (processes that do not end: they wait for a disk, say).
/// Blocks: until they have ended, ten seconds at most.
Result<void> cgroup_end(Cgroup& cgroup);

}  // namespace davit
