#include "drivers/graph/file_system.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdio>

namespace davit {

std::string file_system_name(int fd) {
    struct statfs status {};

    if (::fstatfs(fd, &status) != 0) {
        return "unknown";
    }
    switch (status.f_type) {
        case OVERLAYFS_SUPER_MAGIC:
            return "overlay";
        case NFS_SUPER_MAGIC:
            return "nfs";
        case FUSE_SUPER_MAGIC:
            return "fuse";
        case ECRYPTFS_SUPER_MAGIC:
            return "ecryptfs";
        case TMPFS_MAGIC:
            return "tmpfs";
        case EXT4_SUPER_MAGIC:
            return "ext4";
        case XFS_SUPER_MAGIC:
            return "xfs";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case F2FS_SUPER_MAGIC:
            return "f2fs";
        default: {
            char text[32];
            (void)std::snprintf(
                text, sizeof(text), "0x%lx", static_cast<unsigned long>(status.f_type));
            return text;
        }
    }
}

}  // namespace davit
