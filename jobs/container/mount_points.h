#pragma once
/// From what a client asks to have mounted to the mounts of a container.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "jobs/container/record.h"
#include "libcontainer/spec.h"

namespace davit {

struct MountImage {
    Digest id;
    Digest chain_id;
};

/// What of the daemon's is asked for by name.
struct MountLookups {
    /// The mounts of another container. Errors: not_found.
    std::function<Result<std::vector<MountPoint>>(const std::string& container)> mounts_of;
    /// Errors: not_found.
    std::function<Result<MountImage>(const std::string& reference)> image;
    /// Where a volume has its data, whether it is there already or not.
    std::function<std::string(const std::string& name)> volume_path;
};

/// Volumes of other containers, binds, mounts, tmpfs and the image's volumes as one list, outer
/// ones before inner ones. What Docker calls a volume of the image or of `-v /path` gets a name
/// here; nothing is made.
/// Takes:  volumes: container paths that shall be volumes if nothing else is mounted there.
/// Follows: Docker's daemon/volumes.go registerMountPoints().
/// Errors: invalid_argument ("Duplicate mount point: /x", ...); not_found (a container, an image);
///         unsupported.
Result<std::vector<MountPoint>> mount_points_resolve(const HostConfig& config,
                                                     const std::set<std::string>& volumes = {},
                                                     const MountLookups& lookups = {});

/// Whether the daemon opens it, as what must not be left to a path: an image's layers, and a part
/// of a volume. Such mounts are passed to the launch in the order of the list.
bool mount_is_prepared(const MountPoint& point);

/// What the kernel is told. Errors: invalid_argument (a tmpfs option that is none).
Result<Mount> mount_point_spec(const MountPoint& point);

}  // namespace davit
