#include "graph/layer_extract_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <limits>

#include "graph/tar_path.h"
#include "graph/whiteout.h"
#include "reactor/base/limits.h"
#include "reactor/base/tree_remove.h"

namespace davit {

namespace {

constexpr std::uint64_t resolve_around = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr std::uint64_t resolve_flags = resolve_around | RESOLVE_NO_XDEV;
constexpr mode_t directory_mode = 0755;

/// What a directory kept until the end costs besides its path: map node and fields.
constexpr std::size_t deferred_entry_bytes = 192;

/// umask(2) can only be read by writing it, which other threads would see.
Result<mode_t> umask_read() {
    TRY(const std::string status, file_read("/proc/self/status"));
    constexpr std::string_view key = "\nUmask:\t";
    const std::size_t at = status.find(key);
    unsigned mask = 0;
    if (at == std::string::npos ||
        std::from_chars(&status[at + key.size()], status.data() + status.size(), mask, 8).ec !=
            std::errc()) {
        return Error(ErrorKind::unsupported, "/proc/self/status has no Umask");
    }
    return static_cast<mode_t>(mask);
}

Result<ExtractDirRef> dir_ref(Fd fd, std::string path) {
    struct stat info {};

    if (::fstat(fd.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat");
    }
    auto dir = std::make_shared<ExtractDir>();
    dir->fd = std::move(fd);
    dir->path = std::move(path);
    dir->inode = info.st_ino;
    dir->setgid = (info.st_mode & S_ISGID) != 0;
    return ExtractDirRef(std::move(dir));
}

/// Where an open directory is, by the kernel's account.
Result<std::string> path_of(int fd) {
    std::array<char, PATH_MAX> path{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
    if (size < 0) {
        return Error::from_errno(errno, "readlink", link);
    }
    return std::string(path.data(), static_cast<std::size_t>(size));
}

/// The path of an open directory below an open root.
Result<std::string> path_below(int root, int dir) {
    TRY(const std::string above, path_of(root));
    TRY(std::string path, path_of(dir));
    if (path == above) {
        return std::string();
    }
    if (!path.starts_with(above + '/')) {
        return Error::from_errno(EXDEV, "readlink", path);
    }
    return path.substr(above.size() + 1);
}

/// Something is mounted there. Removing the name would take the mount away from who has it.
bool is_mount(int dir, const std::string& name) {
    struct statx info {};

    return ::statx(dir, name.c_str(), AT_SYMLINK_NOFOLLOW, 0, &info) == 0 &&
           (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace

ExtractTimes::ExtractTimes(TarTime time) {
    values[0].tv_sec = time.seconds;
    values[0].tv_nsec = time.nanoseconds;
    values[1] = values[0];
}

Result<void> extract_xattrs_set(int fd,
                                const std::vector<TarXattr>& xattrs,
                                std::uint64_t& dropped) {
    for (const TarXattr& xattr : xattrs) {
        if (!xattr_allowed(xattr.name)) {
            ++dropped;
            continue;
        }
        if (::fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) == 0) {
            continue;
        }
        // A file system without them: Docker goes on as well.
        if (errno == EOPNOTSUPP) {
            ++dropped;
            continue;
        }
        return Error::from_errno(errno, "fsetxattr", xattr.name);
    }
    return ok;
}

Result<ExtractTree> ExtractTree::open(Fd root, const ExtractSurroundings* around) {
    ExtractTree tree;
    tree.around_ = around;
    TRY(tree.root_, dir_ref(std::move(root), ""));
    TRY(tree.umask_, umask_read());
    tree.uid_ = ::geteuid();
    tree.gid_ = ::getegid();
    if (around != nullptr && !around->ids.is_identity()) {
        tree.uid_ = tree.root_uid_ = around->ids.uid_outside(0).value_or(0);
        tree.gid_ = tree.root_gid_ = around->ids.gid_outside(0).value_or(0);
    }
    return tree;
}

ExtractDirRef ExtractTree::cache_find(const std::string& path) {
    if (path.empty()) {
        return root_;
    }
    const auto found = cache_.find(path);
    if (found == cache_.end()) {
        return nullptr;
    }
    cache_order_.splice(cache_order_.begin(), cache_order_, found->second.used);
    return found->second.dir;
}

void ExtractTree::cache_add(const std::string& path, ExtractDirRef dir) {
    if (cache_.size() >= limits::extract_parents_open_max) {
        const std::string* oldest = cache_order_.back();
        cache_order_.pop_back();
        cache_.erase(cache_.find(*oldest));
    }
    const auto [at, added] = cache_.emplace(path, Cached{std::move(dir), {}});
    if (added) {
        cache_order_.push_front(&at->first);
        at->second.used = cache_order_.begin();
    }
}

void ExtractTree::cache_clear() {
    cache_order_.clear();
    cache_.clear();
}

/// With surroundings: below the directory extracted into as long as no link leads elsewhere.
Result<Fd> ExtractTree::open_below(const std::string& path, int flags) const {
    const auto how = static_cast<std::uint64_t>(flags);
    const std::string name = path.empty() ? "." : path;
    if (around_ == nullptr) {
        return Fd::openat2(root_fd(), name, how, resolve_flags);
    }
    auto direct = Fd::openat2(root_fd(), name, how, resolve_around | RESOLVE_NO_SYMLINKS);
    if (direct || direct.error().errno_value() != ELOOP) {
        return direct;
    }
    return Fd::openat2(around_->root.get(), around_->path + "/" + name, how, resolve_around);
}

Result<ExtractDirRef> ExtractTree::dir_open(const std::string& path) const {
    constexpr int flags = O_RDONLY | O_DIRECTORY;
    if (around_ != nullptr) {
        TRY(Fd opened, open_below(path, flags));
        return dir_ref(std::move(opened), path);
    }
    auto direct = Fd::openat2(root_fd(), path, flags, resolve_flags | RESOLVE_NO_SYMLINKS);
    if (direct) {
        return dir_ref(*std::move(direct), path);
    }
    if (direct.error().errno_value() != ELOOP) {
        return std::move(direct).error();
    }
    TRY(Fd fd, Fd::openat2(root_fd(), path, flags, resolve_flags));
    TRY(std::string real, path_below(root_fd(), fd.get()));
    return dir_ref(std::move(fd), std::move(real));
}

Result<ExtractDirRef> ExtractTree::dir_find(const std::string& path) {
    if (ExtractDirRef dir = cache_find(path)) {
        return dir;
    }
    auto dir = dir_open(path);
    if (dir) {
        cache_add(path, *dir);
    }
    return dir;
}

Result<ExtractDirRef> ExtractTree::dir_make(const std::string& path) {
    auto dir = dir_find(path);
    if (dir) {
        return dir;
    }
    const int reason = dir.error().errno_value();
    if (reason == ENOENT || reason == ENOTDIR) {
        dir = parents_make(path);
    }
    if (!dir) {
        const int errno_value = dir.error().errno_value();
        const bool archive_says = errno_value == ENOENT || errno_value == ENOTDIR ||
                                  errno_value == ELOOP || errno_value == EXDEV;
        Error error = std::move(dir).error().context("make parent", path);
        return archive_says ? std::move(error).with_kind(ErrorKind::corrupt) : std::move(error);
    }
    return dir;
}

/// Every component from the top, made where it is missing.
Result<ExtractDirRef> ExtractTree::parents_make(const std::string& path) {
    ExtractDirRef above = root_;
    for (std::size_t end = 0; end != std::string::npos;) {
        const std::size_t start = end == 0 ? 0 : end + 1;
        end = path.find('/', start);
        const std::string part = path.substr(0, end);
        ExtractDirRef dir = cache_find(part);
        if (!dir) {
            auto opened = dir_open(part);
            if (!opened) {
                TRY_VOID(child_make(*above, part.substr(start), part));
                opened = dir_open(part);
            }
            TRY(dir, std::move(opened));
            cache_add(part, dir);
        }
        above = std::move(dir);
    }
    return above;
}

/// A directory that no entry spoke of (yet). Anything there but a whiteout is left alone: opening
/// it afterwards tells whether it will do.
Result<void> ExtractTree::child_make(const ExtractDir& dir,
                                     const std::string& name,
                                     const std::string& path) {
    struct stat info {};

    const bool exists = ::fstatat(dir.fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && !is_whiteout(info)) {
        return ok;
    }
    ++parents_made_;
    TRY_VOID(directory_make(dir, name, path));
    // Only root can, and only what umask or a parent's setgid bit changed must be put right.
    const bool chown = uid_ == root_uid_ && chown_needed(dir, root_uid_, root_gid_);
    if (!chown && !chmod_needed(directory_mode) && !dir.setgid) {
        return ok;
    }
    TRY(const Fd fd, Fd::openat(dir.fd.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (chown && ::fchown(fd.get(), root_uid_, root_gid_) != 0) {
        return Error::from_errno(errno, "fchown", path);
    }
    if (::fchmod(fd.get(), directory_mode) != 0) {
        return Error::from_errno(errno, "fchmod", path);
    }
    return ok;
}

/// mkdir, in the place of whatever is there unless that is a directory already.
/// Gives: whether it is new.
Result<bool> ExtractTree::directory_make(const ExtractDir& dir,
                                         const std::string& name,
                                         const std::string& path) {
    if (::mkdirat(dir.fd.get(), name.c_str(), directory_mode) == 0) {
        return true;
    }
    if (errno != EEXIST) {
        return Error::from_errno(errno, "mkdir", path);
    }

    struct stat info {};

    if (::fstatat(dir.fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode)) {
        return false;
    }
    TRY(const bool whiteout, make_room(dir, name, path));
    if (::mkdirat(dir.fd.get(), name.c_str(), directory_mode) != 0) {
        return Error::from_errno(errno, "mkdir", path);
    }
    if (whiteout) {
        // The layer removes what the layers below have here, and has a directory of its own.
        TRY_VOID(opaque_set(path));
    }
    return true;
}

Result<void> ExtractTree::directory(const std::string& path, ExtractMeta meta) {
    Deferred deferred;
    deferred.meta = std::move(meta);
    if (!path.empty()) {
        TRY(const ExtractDirRef dir, dir_make(std::string(tar_path_parent(path))));
        const std::string name(tar_path_name(path));
        TRY(const bool fresh, directory_make(*dir, name, path));
        deferred.chown = !fresh || chown_needed(*dir, deferred.meta.uid, deferred.meta.gid);
        deferred.chmod = !fresh || deferred.chown || dir->setgid ||
                         deferred.meta.mode != directory_mode || chmod_needed(directory_mode);
    }
    return deferred_add(path, std::move(deferred));
}

Result<void> ExtractTree::opaque_set(const std::string& path) {
    TRY(const ExtractDirRef dir, dir_make(path));
    if (::fsetxattr(dir->fd.get(), overlay_opaque_xattr(), "y", 1, 0) != 0) {
        return Error::from_errno(errno, "fsetxattr", overlay_opaque_xattr());
    }
    return ok;
}

Result<bool> ExtractTree::make_room(const ExtractDir& dir,
                                    const std::string& name,
                                    const std::string& path) {
    struct stat info {};

    if (::fstatat(dir.fd.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? Result<bool>(false) : Error::from_errno(errno, "fstatat", path);
    }
    if (!is_lonely() && is_mount(dir.fd.get(), name)) {
        return Error::from_errno(EBUSY, "unlinkat", path);
    }
    if (!S_ISDIR(info.st_mode)) {
        if (replaced_ && S_ISREG(info.st_mode)) {
            TRY_VOID(replaced_(dir.fd.get(), name, extract_path(dir, name)));
        }
        if (::unlinkat(dir.fd.get(), name.c_str(), 0) != 0) {
            return Error::from_errno(errno, "unlink", path);
        }
        if (S_ISLNK(info.st_mode)) {
            cache_clear();  // Parents may have been found through it.
        }
        return is_whiteout(info);
    }
    cache_clear();
    deferred_forget(path);
    if (replaced_) {
        TRY_VOID(files_replaced(dir, name));
    }
    TRY(Fd above, Fd::duplicate(dir.fd.get()));
    TreeRemove removal(std::move(above), name);
    TRY_VOID(removal.step(std::numeric_limits<std::uint64_t>::max()));
    return false;
}

/// Tell of all regular files below a directory that is about to be removed.
Result<void> ExtractTree::files_replaced(const ExtractDir& dir, const std::string& name) const {
    std::vector<std::string> waiting{extract_path(dir, name)};
    while (!waiting.empty()) {
        const std::string path = std::move(waiting.back());
        waiting.pop_back();
        TRY(Fd fd, Fd::openat2(root_fd(), path, O_RDONLY | O_DIRECTORY, resolve_flags));
        const int here = fd.get();
        const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(here), ::closedir);
        if (stream == nullptr) {
            return Error::from_errno(errno, "fdopendir", path);
        }
        static_cast<void>(fd.release());  // fdopendir took it.
        while (const dirent* entry = ::readdir(stream.get())) {
            const std::string child = entry->d_name;

            struct stat info {};

            if (child == "." || child == "..") {
                continue;
            }
            if (::fstatat(here, child.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
                return Error::from_errno(errno, "fstatat", path + "/" + child);
            }
            if (S_ISDIR(info.st_mode)) {
                waiting.push_back(path + "/" + child);
            } else if (S_ISREG(info.st_mode)) {
                TRY_VOID(replaced_(here, child, path + "/" + child));
            }
        }
    }
    return ok;
}

Result<void> ExtractTree::deferred_add(const std::string& path, Deferred deferred) {
    std::size_t bytes = deferred_entry_bytes + path.size();
    for (const TarXattr& xattr : deferred.meta.xattrs) {
        bytes += sizeof(xattr) + xattr.name.size() + xattr.value.size();
    }
    deferred_bytes_ += bytes;  // Not given back for a repeated entry: the bound is a bound.
    if (deferred_bytes_ > limits::layer_deferred_bytes_max) {
        return Error(ErrorKind::resource_exhausted, "too many directories in one layer");
    }
    const auto before = deferred_.find(path);
    if (before != deferred_.end()) {
        deferred.chown = deferred.chmod = true;
        before->second = std::move(deferred);
    } else {
        deferred_.emplace(path, std::move(deferred));
    }
    return ok;
}

/// The directory and all below it are gone.
void ExtractTree::deferred_forget(const std::string& path) {
    deferred_.erase(path);
    // "path/..." sorts from "path/" to "path0", '0' being the character behind '/'.
    deferred_.erase(deferred_.lower_bound(path + '/'), deferred_.lower_bound(path + '0'));
}

Result<void> ExtractTree::deferred_apply(const std::string& path, const Deferred& deferred) {
    auto opened = open_below(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened) {
        // Something else took its place later, through another spelling of its name.
        const int reason = opened.error().errno_value();
        const bool replaced = reason == ENOENT || reason == ENOTDIR || reason == ELOOP;
        return replaced ? Result<void>(ok) : std::move(opened).error();
    }
    const int fd = opened->get();
    const ExtractMeta& meta = deferred.meta;
    if (deferred.chown && ::fchown(fd, meta.uid, meta.gid) != 0) {
        return Error::from_errno(errno, "fchown", path);
    }
    if (deferred.chmod && ::fchmod(fd, meta.mode) != 0) {
        return Error::from_errno(errno, "fchmod", path);
    }
    TRY_VOID(extract_xattrs_set(fd, meta.xattrs, xattrs_dropped_));
    const ExtractTimes times(meta.mtime);
    if (::futimens(fd, times.values) != 0) {
        return Error::from_errno(errno, "futimens", path);
    }
    return ok;
}

Result<void> ExtractTree::finish() {
    cache_clear();
    // From the last name to the first, what is inside comes before what holds it: a directory
    // that its own entry makes unreadable is so only when its children are done.
    for (auto at = deferred_.rbegin(); at != deferred_.rend(); ++at) {
        if (auto applied = deferred_apply(at->first, at->second); !applied) {
            return std::move(applied).error().context("finish directory", at->first);
        }
    }
    deferred_.clear();
    return ok;
}

}  // namespace davit
