#include "graph/tree_entry.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <vector>

#include "graph/whiteout.h"

namespace davit {

namespace {

/// There is no fgetxattr(2) for what cannot be opened, as a device: through our descriptor.
std::string proc_path(TreePlace place) {
    return "/proc/self/fd/" + std::to_string(place.dir) + "/" + place.name;
}

Result<std::vector<std::string>> xattr_names(const std::string& path) {
    std::vector<char> list(1024);
    ssize_t size = -1;
    while ((size = ::llistxattr(path.c_str(), list.data(), list.size())) < 0) {
        if (errno == ENOTSUP) {
            return std::vector<std::string>();
        }
        if (errno != ERANGE || list.size() > XATTR_LIST_MAX) {
            return Error::from_errno(errno, "llistxattr", path);
        }
        list.resize(list.size() * 8);
    }
    std::vector<std::string> names;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
        names.emplace_back(&list[at]);
        at += names.back().size() + 1;
    }
    // They say what overlayfs thinks of a layer, and mean nothing in a whole tree.
    const std::string_view prefix = overlay_xattr_prefix();
    std::erase_if(names, [prefix](const std::string& name) { return name.starts_with(prefix); });
    return names;
}

Result<void> xattrs_copy(TreePlace from, TreePlace to) {
    const std::string source = proc_path(from);
    TRY(const std::vector<std::string> names, xattr_names(source));
    if (names.empty()) {
        return ok;
    }
    const std::string target = proc_path(to);
    std::vector<char> value(XATTR_SIZE_MAX);
    for (const std::string& name : names) {
        const ssize_t size = ::lgetxattr(source.c_str(), name.c_str(), value.data(), value.size());
        if (size < 0) {
            return Error::from_errno(errno, "lgetxattr", name);
        }
        if (::lsetxattr(
                target.c_str(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0) !=
            0) {
            return Error::from_errno(errno, "lsetxattr", name);
        }
    }
    return ok;
}

Result<void> xattrs_clear(TreePlace place) {
    const std::string path = proc_path(place);
    TRY(const std::vector<std::string> names, xattr_names(path));
    for (const std::string& name : names) {
        if (::lremovexattr(path.c_str(), name.c_str()) != 0 && errno != ENODATA) {
            return Error::from_errno(errno, "lremovexattr", name);
        }
    }
    return ok;
}

/// Owner first: it takes the set-id bits and capabilities away. A symbolic link has no mode.
Result<void> owner_and_mode_set(TreePlace to, const struct stat& status) {
    if (::fchownat(to.dir, to.name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "fchownat", to.name);
    }
    if (!S_ISLNK(status.st_mode) && ::fchmodat(to.dir, to.name, status.st_mode & 07777, 0) != 0) {
        return Error::from_errno(errno, "fchmodat", to.name);
    }
    return ok;
}

Result<void> symlink_copy(TreePlace from, TreePlace to) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(from.dir, from.name, target.data(), target.size() - 1);
    if (size < 0) {
        return Error::from_errno(errno, "readlinkat", from.name);
    }
    if (::symlinkat(target.data(), to.dir, to.name) != 0) {
        return Error::from_errno(errno, "symlinkat", to.name);
    }
    return ok;
}

bool cannot_share(int number) {
    return number == EOPNOTSUPP || number == ENOTTY || number == EXDEV || number == EINVAL ||
           number == ENOSYS || number == EBADF || number == EPERM;
}

/// Where copy_file_range(2) does not serve: through a buffer of ours.
Result<void> range_copy_buffered(int from, int to, off_t offset, off_t end) {
    std::vector<char> buffer(256 * 1024);
    while (offset < end) {
        const auto want =
            std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(end - offset));
        const ssize_t got = ::pread(from, buffer.data(), want, offset);
        if (got < 0 && errno != EINTR) {
            return Error::from_errno(errno, "pread");
        }
        if (got == 0) {
            return ok;
        }
        for (ssize_t done = 0; done < got;) {
            const ssize_t put = ::pwrite(
                to, buffer.data() + done, static_cast<std::size_t>(got - done), offset + done);
            if (put < 0 && errno != EINTR) {
                return Error::from_errno(errno, "pwrite");
            }
            done += std::max<ssize_t>(put, 0);
        }
        offset += std::max<ssize_t>(got, 0);
    }
    return ok;
}

Result<void> range_copy(int from, int to, off_t offset, off_t end) {
    off_t in = offset;
    off_t out = offset;
    while (in < end) {
        const ssize_t done =
            ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - in), 0);
        if (done == 0) {
            return ok;
        }
        if (done < 0 && cannot_share(errno)) {
            return range_copy_buffered(from, to, in, end);
        }
        if (done < 0 && errno != EINTR) {
            return Error::from_errno(errno, "copy_file_range");
        }
    }
    return ok;
}

std::string symlink_target(int dir, const char* name) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(dir, name, target.data(), target.size());
    return {target.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

/// The capabilities of a file; of all extended attributes the one that programs change.
std::string capabilities(TreePlace place) {
    std::array<char, 64> value{};
    const ssize_t size =
        ::lgetxattr(proc_path(place).c_str(), "security.capability", value.data(), value.size());
    return {value.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace

Result<void> TreeEntries::content_copy(int from, int to) {
    if (clone_works_) {
        if (::ioctl(to, FICLONE, from) == 0) {
            return ok;
        }
        if (!cannot_share(errno)) {
            return Error::from_errno(errno, "ioctl(FICLONE)");
        }
        // EINVAL is about this file (as one without copy-on-write), the others are about all.
        clone_works_ = errno == EINVAL;
    }

    struct stat status {};

    if (::fstat(from, &status) != 0) {
        return Error::from_errno(errno, "fstat");
    }
    for (off_t offset = 0; offset < status.st_size;) {
        const off_t data = ::lseek(from, offset, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            break;
        }
        const off_t hole = data < 0 ? status.st_size : ::lseek(from, data, SEEK_HOLE);
        TRY_VOID(range_copy(from, to, std::max<off_t>(data, 0), hole));
        offset = hole;
    }
    if (::ftruncate(to, status.st_size) != 0) {
        return Error::from_errno(errno, "ftruncate");
    }
    return ok;
}

Result<void> TreeEntries::file_copy(TreePlace from, TreePlace to) {
    // It may have become something else meanwhile, if a container writes there.
    TRY(const Fd source,
        Fd::openat(from.dir, from.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    TRY(const Fd target,
        Fd::openat(to.dir, to.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    return content_copy(source.get(), target.get());
}

Result<void> TreeEntries::copy(TreePlace from, const struct stat& status, TreePlace to) {
    if (S_ISREG(status.st_mode)) {
        TRY_VOID(file_copy(from, to));
    } else if (S_ISLNK(status.st_mode)) {
        TRY_VOID(symlink_copy(from, to));
    } else if (::mknodat(to.dir, to.name, status.st_mode, status.st_rdev) != 0) {
        return Error::from_errno(errno, "mknodat", to.name);
    }
    TRY_VOID(owner_and_mode_set(to, status));
    TRY_VOID(xattrs_copy(from, to));
    return tree_times_copy(status, to.dir, to.name);
}

Result<void> TreeEntries::make(TreePlace from,
                               const struct stat& status,
                               TreePlace to,
                               const std::string& path) {
    if (files_ == TreeFiles::link) {
        if (::linkat(from.dir, from.name, to.dir, to.name, 0) == 0) {
            return ok;
        }
        // It has as many names as the file system allows: a copy serves as well.
        if (errno != EMLINK) {
            return Error::from_errno(errno, "linkat", path);
        }
    }
    if (status.st_nlink > 1) {
        const auto [first, is_new] = linked_.try_emplace({status.st_dev, status.st_ino}, path);
        if (!is_new) {
            if (::linkat(root_, first->second.c_str(), to.dir, to.name, 0) == 0) {
                return ok;
            }
            return Error::from_errno(errno, "linkat", path);
        }
    }
    Result<void> copied = copy(from, status, to);
    if (!copied) {
        linked_.erase({status.st_dev, status.st_ino});
        return std::move(copied).error().context("copy", path);
    }
    return ok;
}

Result<void> TreeEntries::directory_like(TreePlace from, const struct stat& status, TreePlace to) {
    TRY_VOID(owner_and_mode_set(to, status));
    TRY_VOID(xattrs_clear(to));
    return xattrs_copy(from, to);
}

bool tree_entry_differs(TreePlace before,
                        const struct stat& old,
                        TreePlace after,
                        const struct stat& now) {
    if (old.st_mode != now.st_mode || old.st_uid != now.st_uid || old.st_gid != now.st_gid ||
        old.st_rdev != now.st_rdev) {
        return true;
    }
    if (S_ISDIR(now.st_mode)) {
        return false;  // Its size and times tell of its entries, which are looked at.
    }
    if (old.st_size != now.st_size || old.st_mtim.tv_sec != now.st_mtim.tv_sec ||
        old.st_mtim.tv_nsec != now.st_mtim.tv_nsec) {
        return true;
    }
    if (S_ISLNK(now.st_mode)) {
        return symlink_target(before.dir, before.name) != symlink_target(after.dir, after.name);
    }
    return S_ISREG(now.st_mode) && capabilities(before) != capabilities(after);
}

Result<void> tree_times_copy(const struct stat& from, int dir, const std::string& path) {
    const timespec times[2] = {from.st_atim, from.st_mtim};
    if (::utimensat(dir, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "utimensat", path);
    }
    return ok;
}

bool reflinks_work(int dir) {
    const auto from = Fd::openat(dir, ".", O_RDWR | O_TMPFILE, 0600);
    const auto to = Fd::openat(dir, ".", O_RDWR | O_TMPFILE, 0600);
    return from && to && write_all(from->get(), "x") &&
           ::ioctl(to->get(), FICLONE, from->get()) == 0;
}

}  // namespace davit
