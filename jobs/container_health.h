#pragma once
/// Running a container's health checks.
#include <memory>

#include "jobs/container/container.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

/// Check a running container's health, by its configuration, until cancelled; while it is paused
/// nothing is run, and then as after its end it counts as unhealthy. Returns at once if there is
/// nothing to check. What comes out is in the record's state (kept with the container's exit), and
/// told as `health_status` events. Follows: moby daemon/health.go monitor(). Cancel: at every
/// point; a check that runs is left to the container's end.
Task<void> container_health(Daemon& daemon, std::shared_ptr<Container> container);

}  // namespace davit
