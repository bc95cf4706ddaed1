#pragma once
/// Collecting images without being asked: `davit daemon --gc-high 85% --gc-low 70%`.
#include <functional>

#include "jobs/daemon_config.h"
#include "reactor/async_event.h"
#include "reactor/base/clock.h"

namespace davit {

class Daemon;

/// Collect now, after every time that `changed` was set, and at least so often; one collection at a
/// time. What is set during one makes one more, however often. The event must outlive the task.
/// Runs until cancelled, or until collect() gives an error.
Task<void> gc_run(AsyncEvent& changed, Nanoseconds interval, std::function<Task<void>()> collect);

/// Run the job image_gc whenever more of the disk is used than the high mark: looks after each
/// pull, load, import, commit or build that brought layers, and now and then, since containers
/// write, too. What was removed before is deleted from disk before it looks: else it would remove
/// too much. Runs until cancelled; a collection that fails is logged.
Task<void> image_gc_auto(Daemon& daemon, GcMarks marks);

}  // namespace davit
