#pragma once
/// The processes of a container.
#include <memory>
#include <string>

#include "jobs/container/container.h"
#include "jobs/container/process_list.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

/// GET /containers/{id}/top: what the host's ps(1) shows of them; without one, what `ps -ef` would.
/// Follows: Docker Engine API, operation ContainerTop.
/// Takes:  arguments: for ps; empty: "-ef".
/// Errors: conflict (not running); invalid_argument; unsupported (other arguments, and no ps);
///         internal (what ps says).
Task<ProcessList> container_top(Job& job,
                                Daemon& daemon,
                                std::shared_ptr<Container> container,
                                std::string arguments);

}  // namespace davit
