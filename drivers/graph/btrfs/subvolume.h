#pragma once
/// Subvolumes of btrfs. Follows: btrfs-subvolume(8), <linux/btrfs.h>.
#include <string>

#include "reactor/base/result.h"

namespace davit {

/// Whether this is the root of a subvolume (of a file system that is known to be btrfs).
bool is_subvolume(int dir, const std::string& path);

/// path: below dir. Blocks: for a commit of the file system.
Result<void> subvolume_create(int dir, const std::string& path);

/// A writable snapshot; subvolumes inside `from` are empty directories in it. Blocks: as above.
Result<void> subvolume_snapshot(int dir, const std::string& from, const std::string& to);

/// Bound the bytes that a subvolume refers to, what it shares with others included. Quotas of the
/// file system are turned on for that.
/// Follows: btrfs-quota(8), btrfs-qgroup(8). Errors: what the ioctls say.
Result<void> subvolume_limit(int dir, const std::string& path, std::uint64_t bytes_max);

/// Take a subvolume away with those inside it, which whoever could write to it may have made. The
/// file system frees the space by itself, later. Blocks: as above.
Result<void> subvolume_delete(int dir, const std::string& path);

}  // namespace davit
