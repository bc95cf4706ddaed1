#include "drivers/graph/project_quota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "reactor/base/fd.h"

namespace davit {

namespace {

constexpr std::uint64_t block_bytes = 512;  // "Basic blocks", whatever the file system's are.
constexpr int tries_max = 64;

int quota_call(int fd, unsigned command, std::uint32_t project, fs_disk_quota* quota) {
    const auto done = ::syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, quota);
    return done == 0 ? 0 : errno;
}

bool is_bounded(const fs_disk_quota& quota) {
    return quota.d_blk_hardlimit != 0 || quota.d_bcount != 0;
}

/// A project that has neither a bound nor files. Errors: unsupported.
Result<std::uint32_t> project_choose(int fd, const std::string& seed) {
    constexpr std::uint32_t number_bits = 0x7fffffffU;  // 0 is what files have by default.
    auto project = static_cast<std::uint32_t>(std::hash<std::string>()(seed)) & number_bits;
    for (int tries = 0; tries < tries_max; ++tries, ++project) {
        if (project == 0) {
            continue;
        }
        fs_disk_quota quota{};
        const int failed = quota_call(fd, Q_XGETQUOTA, project, &quota);
        if (failed == ENOENT || (failed == 0 && !is_bounded(quota))) {
            return project;
        }
        if (failed != 0) {
            return Error(ErrorKind::unsupported, "no project quotas: " + errno_text(failed));
        }
    }
    return Error(ErrorKind::resource_exhausted, "no project number is free for a quota");
}

Result<void> project_give(int dir, const std::string& path, std::uint32_t project) {
    TRY(const Fd fd, Fd::openat(dir, path, O_RDONLY | O_DIRECTORY));
    fsxattr attributes{};
    if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
        return Error::from_errno(errno, "ioctl(FS_IOC_FSGETXATTR)", path);
    }
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (::ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
        return Error::from_errno(errno, "ioctl(FS_IOC_FSSETXATTR)", path);
    }
    return ok;
}

/// 0: none, or the file system knows no projects.
Result<std::uint32_t> project_of(int dir, const std::string& path) {
    TRY(const Fd fd, Fd::openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    fsxattr attributes{};
    const bool known = ::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) == 0;
    return known ? attributes.fsx_projid : 0;
}

}  // namespace

Result<void> project_share(int dir, const std::string& from, const std::string& to) {
    TRY(const std::uint32_t project, project_of(dir, from));
    return project == 0 ? Result<void>(ok) : project_give(dir, to, project);
}

Result<void> project_quota_set(int dir,
                               const std::vector<std::string>& paths,
                               const std::string& seed,
                               std::uint64_t bytes_max) {
    TRY(const Fd fd, Fd::openat(dir, ".", O_RDONLY | O_DIRECTORY));
    TRY(const std::uint32_t project, project_choose(fd.get(), seed));
    fs_disk_quota quota{};
    quota.d_version = FS_DQUOT_VERSION;
    quota.d_id = project;
    quota.d_flags = FS_PROJ_QUOTA;
    quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
    quota.d_blk_hardlimit = bytes_max / block_bytes;
    quota.d_blk_softlimit = quota.d_blk_hardlimit;
    if (const int failed = quota_call(fd.get(), Q_XSETQLIM, project, &quota); failed != 0) {
        return Error::from_errno(failed, "quotactl_fd(Q_XSETQLIM)");
    }
    for (const std::string& path : paths) {
        TRY_VOID(project_give(dir, path, project));
    }
    return ok;
}

}  // namespace davit
