#pragma once
/// Telling at once that the kernel killed a process of a container for lack of memory.
#include <memory>

#include "jobs/container/container.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

/// Publish an `oom` event, and set the state's OOMKilled, whenever the kernel has killed a process
/// of a running container, until cancelled. Returns at once for a container without a memory limit
/// of its own: it is a descriptor for each, and of what others' limits do its end tells.
/// Follows: moby daemon/monitor.go, handleContainerOOM().
Task<void> container_oom_watch(Daemon& daemon,
                               std::shared_ptr<Container> container,
                               std::shared_ptr<ContainerRun> run);

}  // namespace davit
