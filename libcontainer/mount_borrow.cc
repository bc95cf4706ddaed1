#include "libcontainer/mount_borrow.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <optional>
#include <thread>

#include "libcontainer/mount.h"

namespace davit {

namespace {

Error unexpected(const std::string& path, const char* what) {
    return Error(ErrorKind::conflict, path + " is not " + what);
}

/// The calling thread does not come back from there.
Result<Fd> mount_copy(int pidfd, const std::string& path, long magic, const char* what) {
    if (::unshare(CLONE_FS) != 0) {
        return Error::from_errno(errno, "unshare(CLONE_FS)");
    }
    if (::setns(pidfd, CLONE_NEWNS) != 0) {
        return Error::from_errno(errno, "setns", "mnt");
    }
    TRY(const Fd place, Fd::openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS));

    struct statfs filesystem {};

    if (::fstatfs(place.get(), &filesystem) != 0) {
        return Error::from_errno(errno, "fstatfs", path);
    }

    struct statx info {};

    if (::statx(place.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) != 0) {
        return Error::from_errno(errno, "statx", path);
    }
    if (filesystem.f_type != magic || (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
        return unexpected(path, what);
    }
    TRY(Fd copy, open_tree_clone(place.get(), "", false));
    MountAttributes own;
    own.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    own.clear = MOUNT_ATTR_RDONLY;
    own.propagation = MS_PRIVATE;
    TRY_VOID(mount_attributes_change(copy.get(), own));
    return copy;
}

Result<Fd> mount_borrow(int pidfd, const std::string& path, long magic, const char* what) {
    std::optional<Result<Fd>> copied;
    std::thread visitor([&] { copied.emplace(mount_copy(pidfd, path, magic, what)); });
    visitor.join();
    return *std::move(copied);
}

/// The number of a process in its own pid namespace, the last word of NSpid.
Result<std::string> number_inside(const std::string& process) {
    TRY(const std::string status, file_read(process + "/status"));
    const std::size_t begin = status.find("\nNSpid:");
    if (begin == std::string::npos) {
        return Error(ErrorKind::not_found, process + "/status: no NSpid");
    }
    const std::string line = status.substr(begin + 1, status.find('\n', begin + 1) - begin - 1);
    return line.substr(line.find_last_of("\t ") + 1);
}

bool is_same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

Result<Fd> mount_borrow_tmpfs(int pidfd, const std::string& path) {
    return mount_borrow(pidfd, path, TMPFS_MAGIC, "the tmpfs that was mounted there");
}

Result<Fd> mount_borrow_proc(const PidRef& init) {
    const char* what = "the procfs of the container's pid namespace";
    TRY(Fd proc, mount_borrow(init.pidfd(), "/proc", PROC_SUPER_MAGIC, what));
    const std::string process = "/proc/" + std::to_string(init.pid());
    TRY(const std::string inside, number_inside(process));

    struct stat wanted {};

    struct stat found {};

    if (::stat((process + "/ns/pid").c_str(), &wanted) != 0) {
        return Error::from_errno(errno, "stat", process + "/ns/pid");
    }
    const std::string shown = inside + "/ns/pid";
    if (::fstatat(proc.get(), shown.c_str(), &found, 0) != 0 || !is_same_file(wanted, found)) {
        return unexpected("/proc", what);
    }
    return proc;
}

Result<Fd> mount_part_copy(int mount_fd, int part) {
    std::optional<Result<Fd>> copied;
    const auto copy = [&]() -> Result<Fd> {
        if (::unshare(CLONE_NEWNS) != 0) {
            return Error::from_errno(errno, "unshare", "mnt");
        }
        if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
            return Error::from_errno(errno, "mount", "/");
        }
        TRY_VOID(mount_attach(mount_fd, AT_FDCWD, "/"));
        return open_tree_clone(part, "", true);
    };
    std::thread visitor([&] { copied.emplace(copy()); });
    visitor.join();
    return *std::move(copied);
}

}  // namespace davit
