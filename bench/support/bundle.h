#pragma once
/// An OCI bundle for the bare runtimes.
#include <string>
#include <vector>

#include "bench/support/workspace.h"

namespace davit::bench {

/// A directory with config.json around this root file system, set up as Docker sets up a container
/// on network none, or on the host's (no seccomp, no overlay: the bare runtimes are measured at
/// their best). Gives its path.
Result<std::string> bundle_make(const Workspace& workspace,
                                const std::string& name,
                                const std::string& rootfs,
                                const std::vector<std::string>& argv,
                                bool host_network);

}  // namespace davit::bench
