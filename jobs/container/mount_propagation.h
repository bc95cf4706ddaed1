#pragma once
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// Whether a directory of the host is in a mount that can propagate as asked for: a copy of a
/// private mount has nobody to share with, whatever is said of it.
/// Takes:   path: absolute, its symbolic links resolved; propagation: "rshared", "slave", ...;
///          mountinfo: /proc/self/mountinfo.
/// Follows: mount_namespaces(7); Docker's daemon/oci_linux.go ensureShared(),
/// ensureSharedOrSlave(). Errors:  internal, in Docker's words.
Result<void> mount_propagation_check(const std::string& path,
                                     const std::string& propagation,
                                     const std::string& mountinfo);

}  // namespace davit
