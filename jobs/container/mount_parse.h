#pragma once
/// What a client asks to have mounted, read and checked one at a time.
///
/// Follows: Docker's volume/mounts linux_parser.go, in whose words it complains.
#include <string>

#include "jobs/container/record.h"
#include "libcontainer/spec.h"

namespace davit {

/// "src:dst[:mode]", as -v gives it; a source that is no absolute path is a volume's name, no
/// source an anonymous volume. Errors: invalid_argument.
Result<MountPoint> mount_bind_parse(const std::string& spec, const std::string& volume_driver);

/// As --mount gives it. Errors: invalid_argument; unsupported (npipe, cluster).
Result<MountPoint> mount_request_parse(const MountRequest& request);

/// As --tmpfs gives it. Errors: invalid_argument.
Result<MountPoint> mount_tmpfs_parse(const std::string& target, std::string options);

/// "container[:mode]", as --volumes-from gives it.
struct VolumesFrom {
    std::string container;
    bool read_write = true;
};

/// Errors: invalid_argument.
Result<VolumesFrom> volumes_from_parse(const std::string& spec);

/// The file system of a tmpfs mount. Errors: invalid_argument (an option that is none).
Result<Mount> tmpfs_spec(const MountPoint& point);

}  // namespace davit
