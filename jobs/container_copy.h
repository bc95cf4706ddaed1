#pragma once
/// `docker cp`: what a path of a container is, its archive, and an archive into it.
///
/// Follows: Docker Engine API, operations ContainerArchiveInfo, ContainerArchive,
/// PutContainerArchive; moby daemon/archive_unix.go, in whose words the errors are.
#include <functional>
#include <memory>
#include <string>

#include "jobs/container/container.h"
#include "jobs/container/path_stat.h"
#include "jobs/container_archive.h"

namespace davit {

class Daemon;
class Job;

/// A path of a container, and the container as the client called it, for messages.
struct CopyPath {
    std::string container;
    std::string path;
};

/// Errors: not_found "Could not find the file X in container Y"; those of mounting it.
Task<PathStat> container_path_stat(Daemon& daemon,
                                   std::shared_ptr<Container> container,
                                   CopyPath path);

/// The file or tree at path: first what it is, then its archive. A directory's name is that of the
/// path ("." for "path/."), and what is mounted below it is in the archive.
/// Errors: as container_path_stat(), before found() is called.
/// Cancel: at every point.
Task<void> container_copy_out(Daemon& daemon,
                              std::shared_ptr<Container> container,
                              CopyPath path,
                              std::function<void(const PathStat&)> found,
                              ExportOutput output);

struct ContainerCopyIn {
    /// An existing directory, or a link to one.
    CopyPath path;
    /// Do not replace a directory by something else, nor something else by a directory.
    bool no_overwrite_dir_non_dir = false;
    /// Everything becomes the container's user's, if it has one.
    bool copy_uid_gid = false;
};

/// The job's standard input is an archive, plain or compressed (gzip, bzip2, xz, zstd).
/// Errors: not_found; invalid_argument (no directory, or no archive); permission_denied (the root
///         file system or the volume is read-only); what the disk says. What was unpacked before
///         an error stays, as with Docker.
/// Cancel: at every point.
Task<void> container_copy_in(Job& job,
                             Daemon& daemon,
                             std::shared_ptr<Container> container,
                             ContainerCopyIn request);

}  // namespace davit
