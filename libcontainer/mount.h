#pragma once
/// Detached mounts: a mount is made, filled and configured while it is nowhere in the file tree,
/// and is named by a descriptor. Whoever closes the last descriptor of a mount that was never
/// attached unmounts it, so an error path needs no umount and the host's mount table never grows.
///
/// Follows: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "reactor/base/fd.h"

namespace davit {

/// Key and value as in `mount -o key=value`; an empty value sets the key as a flag.
using MountOption = std::pair<std::string, std::string>;

/// A file system being configured. Errors carry the kernel's own explanation where it gives one
/// ("overlay: upperdir is in-use ...").
class MountContext {
  public:
    /// Errors: unsupported (no such file system in this kernel); permission_denied.
    static Result<MountContext> open(const char* fstype);

    Result<void> set(const char* key, const char* value);
    Result<void> set_flag(const char* key);

    /// A directory or file given by descriptor (overlay's lowerdir+ since 6.13, ...).
    Result<void> set_fd(const char* key, int fd);

    /// Create the superblock and give it as a detached mount with MOUNT_ATTR_* attributes.
    Result<Fd> mount(unsigned attributes);

  private:
    MountContext(Fd fd, const char* fstype) : fd_(std::move(fd)), fstype_(fstype) {}

    /// The error of the call that just failed, with the context's message log appended.
    Error failed(int errno_value, const char* operation, const char* key) const;

    Fd fd_;
    std::string fstype_;
};

/// MountContext in one call. Takes: MOUNT_ATTR_* of <sys/mount.h>. Gives: a detached mount.
Result<Fd> mount_fs_detached(const char* fstype,
                             std::span<const MountOption> options,
                             unsigned attributes = 0);

/// A detached copy of the mount at path (of dir, if path is ""): a bind mount that is nowhere yet.
/// Takes: recursive to copy the mounts below it as well.
Result<Fd> open_tree_clone(int dir, const std::string& path, bool recursive);

/// What mount_setattr(2) changes. Propagation is MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or
/// 0.
struct MountAttributes {
    std::uint64_t set = 0;
    std::uint64_t clear = 0;
    std::uint64_t propagation = 0;
    bool recursive = false;
};

/// Change a mount's attributes; mount_fd names it (detached or not, O_PATH will do).
Result<void> mount_attributes_change(int mount_fd, const MountAttributes& change);

/// Attach a detached mount at path below dir (at dir itself, if path is "").
/// Security: path is resolved as the kernel does; for names out of an image open the target first
/// with Fd::openat2(root, path, O_PATH, RESOLVE_IN_ROOT) and pass it with "".
Result<void> mount_attach(int mount_fd, int dir, const std::string& path);

/// umount2(2) with MNT_DETACH and UMOUNT_NOFOLLOW.
Result<void> mount_detach(const std::string& path);

}  // namespace davit
