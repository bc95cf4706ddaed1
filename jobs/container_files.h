#pragma once
/// The files of a container as its processes see them, for `docker cp`: volumes and binds included.
///
/// A running container's are those of its init's mount namespace. One that does not run gets its
/// root and its binds mounted in a namespace that nobody else is in. All copies that overlap share
/// it, since two mounts of one writable layer would not agree; and since what comes out of one may
/// be what another waits for (`docker cp a:/x - | docker cp - a:/y`). Together they hold its
/// operations mutex: it cannot be started or removed meanwhile. No process is left running for it,
/// and nothing appears in the host's mount table.
#include <memory>

#include "drivers/exec/driver.h"
#include "jobs/container/container.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

struct ContainerFiles {
    std::shared_ptr<const MountedTree> tree;
    /// Whose ids its files have: those of a running container's user namespace. One that does not
    /// run is seen as it is on disk, where ids are those inside; what is bound into it has its own.
    IdMap ids = {};
};

/// Errors: conflict (it is being removed); what mounting says.
/// Cancel: at every point.
Task<ContainerFiles> container_files_open(Daemon& daemon, std::shared_ptr<Container> container);

}  // namespace davit
