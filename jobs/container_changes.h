#pragma once
/// What a container changed in its root file system.
#include <map>
#include <memory>
#include <string>

#include "drivers/graph/change_list.h"
#include "jobs/container/container.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

/// GET /containers/{id}/changes: paths in order. Follows: Docker Engine API, operation
/// ContainerChanges.
/// Errors: not_found (its layers are gone); resource_exhausted (too many); what the disk says.
/// Cancel: within some milliseconds.
Task<std::map<std::string, ChangeKind>> container_changes(Daemon& daemon,
                                                          std::shared_ptr<Container> container);

}  // namespace davit
