#pragma once
/// An OCI bundle for the bare runtimes.
#include <string>

#include "bench/support/workspace.h"

namespace davit::bench {

/// A directory with config.json around this root file system, set up as Docker sets up a container
/// on network none (no seccomp, no overlay: the bare runtimes are measured at their best). Gives
/// its path.
Result<std::string> bundle_make(const Workspace& workspace, const std::string& rootfs);

}  // namespace davit::bench
