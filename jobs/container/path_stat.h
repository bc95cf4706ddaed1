#pragma once
/// A name inside a container's root, looked up and described for `docker cp`.
///
/// Every look-up goes through openat2(2) with RESOLVE_IN_ROOT: the kernel itself resolves links and
/// ".." inside the root, whatever the container's processes change meanwhile. No descriptor that
/// comes out of here can be used to read, write or run anything by itself: reopening one that was
/// looked at is the caller's, through ContainerPath.
///
/// Follows: moby daemon/containerfs_linux.go Stat(), pkg/archive; openat2(2).
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/fd.h"
#include "reactor/base/result.h"

namespace davit {

/// A path as the client spelled it, made absolute and clean; a slash or "/." at its end stays: both
/// say that a link there is followed.
std::string copy_path_clean(std::string_view path);

/// The last component: "b" of "/a/b" and "/a/b/", "." of "/a/.", "/" of "/".
std::string copy_path_base(std::string_view path);

/// Its directory, with a slash at the end: "/a/" of "/a/b".
std::string copy_path_parent(std::string_view path);

struct PathStat {
    std::string name;
    std::int64_t size = 0;
    /// As Go's os.FileMode has it: permissions in the low nine bits, the rest from the top.
    std::uint32_t mode = 0;
    WallTime mtime{};
    /// Where a symbolic link leads in the end, from the root; as far as it can be followed.
    std::string link_target;
};

/// st_mode as Go's os.FileMode.
std::uint32_t go_file_mode(mode_t mode);

/// A name that was looked up; what it was then is what stays in hand.
struct ContainerPath {
    Fd named;  ///< O_PATH.
    PathStat stat;
    mode_t type = 0;  ///< S_IFDIR, ...

    bool is_directory() const { return S_ISDIR(type); }
};

/// Look path up without following a link in its last component, unless a slash is behind it.
/// Errors: not_found; what openat2(2) says.
/// Blocks: for the file system; through offload().
Result<ContainerPath> container_path_find(int root, const std::string& path);

/// The directory that path leads to, links followed, for reading.
/// Errors: not_found; invalid_argument (it is no directory).
Result<Fd> container_directory_open(int root, const std::string& path);

/// Where path leads inside the root with all links followed, or as much of them as is there.
/// Errors: resource_exhausted (too many links).
Result<std::string> container_links_follow(int root, std::string_view path);

}  // namespace davit
