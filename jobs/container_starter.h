#pragma once
/// One attempt at starting a container: every step from its network to its program, or none.
#include <optional>

#include "jobs/container/container.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

struct StartAttempt {
    /// As the client gets it; none: the program runs, and Container::run is there.
    std::optional<Error> failure = {};
    /// What the container's state gets then.
    int exit_code = 0;
    /// It failed because of the sandbox that it had (sandbox_pool.h), which it has no more.
    bool retry = false;
};

/// The caller holds the container's operations mutex. Cancel: as a failure, all undone.
Task<StartAttempt> container_start_once(Job& job, Daemon& daemon, Container& container);

}  // namespace davit
