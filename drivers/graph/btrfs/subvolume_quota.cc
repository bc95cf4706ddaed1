#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "drivers/graph/btrfs/subvolume.h"
#include "reactor/base/fd.h"

namespace davit {

Result<void> subvolume_limit(int dir, const std::string& path, std::uint64_t bytes_max) {
    TRY(const Fd subvolume, Fd::openat(dir, path, O_RDONLY | O_DIRECTORY));
    btrfs_ioctl_quota_ctl_args control{};
    control.cmd = BTRFS_QUOTA_CTL_ENABLE;
    if (::ioctl(subvolume.get(), BTRFS_IOC_QUOTA_CTL, &control) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "ioctl(BTRFS_IOC_QUOTA_CTL)", path);
    }
    btrfs_ioctl_qgroup_limit_args limit{};
    limit.qgroupid = 0;  // The subvolume's own.
    limit.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
    limit.lim.max_rfer = bytes_max;
    if (::ioctl(subvolume.get(), BTRFS_IOC_QGROUP_LIMIT, &limit) != 0) {
        return Error::from_errno(errno, "ioctl(BTRFS_IOC_QGROUP_LIMIT)", path);
    }
    return ok;
}

}  // namespace davit
