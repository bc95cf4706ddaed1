#include "jobs/container/restart_policy.h"

#include <algorithm>

namespace davit {

namespace {

constexpr Nanoseconds pause_first = std::chrono::milliseconds(100);
constexpr Nanoseconds pause_max = std::chrono::minutes(1);
constexpr Nanoseconds healthy = std::chrono::seconds(10);

}  // namespace

bool restart_policy_applies(const RestartPolicy& policy, const RunOutcome& outcome) {
    if (policy.name == "always") {
        return true;
    }
    if (policy.name == "unless-stopped") {
        return !outcome.manually_stopped;
    }
    if (policy.name == "on-failure") {
        const bool more =
            policy.maximum_retry_count == 0 || outcome.restart_count < policy.maximum_retry_count;
        return more && outcome.exit_code != 0;
    }
    return false;
}

Nanoseconds restart_pause(Nanoseconds last, Nanoseconds run_duration) {
    if (last == Nanoseconds{} || run_duration >= healthy) {
        return pause_first;
    }
    return std::min(2 * last, pause_max);
}

}  // namespace davit
