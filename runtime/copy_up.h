#pragma once
#include "libcontainer/spec.h"
#include "reactor/base/fd.h"

namespace davit {

/// A tmpfs that begins with what a container's root has at its target (the mount option tmpcopyup),
/// as a detached mount with the mount's attributes; empty if there is nothing, or no directory.
/// Links in the target are followed within the root. Takes:  root: the container's root directory.
/// Errors: resource_exhausted (it does not fit); what the system calls say.
/// Blocks: as long as there is much to copy.
Result<Fd> tmpfs_copied_up(int root, const Mount& mount);

}  // namespace davit
