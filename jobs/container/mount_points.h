#pragma once
/// From what a client asks to have mounted to the mounts of a container.
#include <vector>

#include "jobs/container/record.h"
#include "libcontainer/spec.h"

namespace davit {

/// Binds, mounts and tmpfs as one list, outer ones before inner ones.
/// Follows: Docker's volume/mounts linux_parser.go, in whose words it complains.
/// Errors: invalid_argument ("Duplicate mount point: /x", ...); unsupported (named volumes, ...).
Result<std::vector<MountPoint>> mount_points_resolve(const HostConfig& config);

/// What the kernel is told. Errors: invalid_argument (a tmpfs option that is none).
Result<Mount> mount_point_spec(const MountPoint& point);

}  // namespace davit
