#pragma once
/// Removing every container that does not run.
#include <functional>
#include <vector>

#include "jobs/container/record.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

/// Whether a container may be removed.
using ContainerPruneAdmits = std::function<bool(const ContainerRecord& record)>;

struct ContainersPruned {
    std::vector<ContainerId> ids;
    /// Of their writable directories.
    std::uint64_t bytes = 0;
};

/// POST /containers/prune. One that cannot be removed is left, and complained of. Follows: Docker
/// Engine API, operation ContainerPrune.
/// Errors: conflict (another prune is under way).
/// Cancel: between two containers.
Task<ContainersPruned> container_prune(Job& job, Daemon& daemon, ContainerPruneAdmits admits);

}  // namespace davit
