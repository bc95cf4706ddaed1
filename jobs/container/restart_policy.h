#pragma once
/// Whether a container that has ended is started again, and when. Pure.
///
/// Follows: docker-run(1) --restart; moby's restartmanager. A pause of 100 ms doubles with every
/// restart, up to a minute; a run of 10 s or more makes the next pause the first one again.
#include <cstdint>

#include "jobs/container/host_config.h"
#include "reactor/base/clock.h"

namespace davit {

/// How a run ended.
struct RunOutcome {
    int exit_code = 0;
    Nanoseconds duration{};
    /// Restarts by the policy since somebody started it.
    int restart_count = 0;
    /// `docker stop` or `docker kill` since then.
    bool manually_stopped = false;
};

/// What the policy says, whatever the pause. Takes: the record's; "" is "no".
bool restart_policy_applies(const RestartPolicy& policy, const RunOutcome& outcome);

/// The pause before the next restart. Takes: the one before the last; zero: there was none.
Nanoseconds restart_pause(Nanoseconds last, Nanoseconds run_duration);

}  // namespace davit
