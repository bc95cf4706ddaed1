#pragma once
/// Project quotas: a bound on what lies below a directory, kept by the file system.
///
/// Follows: quotactl(2), quotactl_fd (Linux 5.14), ioctl_xfs_fsgetxattr(2); ext4 answers the same
/// calls as xfs.
#include <cstdint>
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

/// Bound the bytes below some directories together. They must be empty: what is in them already is
/// not counted. The project's number is chosen by `seed`, and is one that has no bound yet.
/// Errors: unsupported (the file system is mounted without project quotas, or has none);
///         permission_denied; what the calls say.
Result<void> project_quota_set(int dir,
                               const std::vector<std::string>& paths,
                               const std::string& seed,
                               std::uint64_t bytes_max);

/// Count what a directory, which must be empty, is to hold to the project of another one, if that
/// has one. Errors: what the calls say.
Result<void> project_share(int dir, const std::string& from, const std::string& to);

}  // namespace davit
