#include "graph/tree_archive.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/tar_path.h"
#include "graph/tar_writer.h"
#include "graph/whiteout.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr std::uint64_t tree_resolve =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

constexpr unsigned long mqueue_magic = 0x19800202;  // Of ipc/mqueue.c alone.

/// Headers that are gathered before they are handed out.
constexpr std::size_t headers_bytes = 64 * 1024;

/// It went, or became something else, since its directory was read; or it is another file system.
bool is_elsewhere(const Error& error) {
    const int reason = error.errno_value();
    return reason == ENOENT || reason == ENOTDIR || reason == ELOOP || reason == EXDEV ||
           reason == ENXIO;
}

/// A directory whose members are being packed.
struct Level {
    std::string path;  ///< "" is the root.
    dev_t device = 0;
    std::vector<std::string> names;
    std::size_t next = 0;
};

Result<std::vector<std::string>> names_read(int dir, std::size_t& bytes) {
    TRY(Fd fd, Fd::openat(dir, ".", O_RDONLY | O_DIRECTORY));
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
    if (stream == nullptr) {
        return Error::from_errno(errno, "fdopendir");
    }
    static_cast<void>(fd.release());  // fdopendir took it.
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") {
            continue;
        }
        bytes += name.size() + sizeof(std::string);
        if (bytes > limits::layer_deferred_bytes_max) {
            return Error(ErrorKind::resource_exhausted, "too many names in one directory");
        }
        names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

Result<std::vector<TarXattr>> xattrs_read(int fd, const std::string& path) {
    std::vector<TarXattr> xattrs;
    std::vector<char> names(XATTR_LIST_MAX);
    const ssize_t size = ::flistxattr(fd, names.data(), names.size());
    if (size < 0) {
        return errno == EOPNOTSUPP ? Result<std::vector<TarXattr>>(xattrs)
                                   : Error::from_errno(errno, "flistxattr", path);
    }
    std::string value;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
        const std::string name(&names[at]);
        at += name.size() + 1;
        if (!xattr_allowed(name)) {
            continue;
        }
        value.resize(XATTR_SIZE_MAX);
        const ssize_t got = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
        if (got >= 0) {
            xattrs.push_back({name, value.substr(0, static_cast<std::size_t>(got))});
        } else if (errno != ENODATA) {
            return Error::from_errno(errno, "fgetxattr", path);
        }
    }
    return xattrs;
}

/// A mount whose files are no storage: procfs, sysfs and the like, or a container's /dev, which is
/// the one tmpfs that may have devices.
bool is_of_the_kernel(int fd) {
    struct statfs info {};

    if (::fstatfs(fd, &info) != 0) {
        return false;
    }
    switch (static_cast<unsigned long>(info.f_type)) {
        case PROC_SUPER_MAGIC:
        case SYSFS_MAGIC:
        case CGROUP_SUPER_MAGIC:
        case CGROUP2_SUPER_MAGIC:
        case DEVPTS_SUPER_MAGIC:
        case mqueue_magic:
        case DEBUGFS_MAGIC:
        case TRACEFS_MAGIC:
        case SECURITYFS_MAGIC:
        case BPF_FS_MAGIC:
            return true;
        case TMPFS_MAGIC:
            return (static_cast<unsigned long>(info.f_flags) & ST_NODEV) == 0;
        default:
            return false;
    }
}

}  // namespace

struct TreeArchive::State {
    State(Fd root_in, TreeArchiveOptions wanted)
        : root(std::move(root_in)), options(std::move(wanted)) {}

    Fd root;
    TreeArchiveOptions options;
    std::string out;  ///< Made and not handed out yet, up to out_at.
    std::size_t out_at = 0;
    TarWriter tar{out};
    std::vector<Level> levels;
    std::size_t names_bytes = 0;
    Fd dir;  ///< Of the innermost level.
    Fd file;
    std::uint64_t file_left = 0;
    std::map<std::pair<dev_t, ino_t>, std::string> linked;
    bool begun = false;
    bool ended = false;
    std::optional<Error> failed;

    std::string member_name(const std::string& path) const;
    TarEntry entry_of(const std::string& path, const struct stat& info, TarType type) const;
    Result<Fd> open(const std::string& path, int flags) const;
    Result<Fd> file_open(const std::string& path) const;
    Result<void> begin();
    Result<void> level_enter(std::string path, Fd opened);
    Result<void> level_leave();
    Result<void> member_next();
    Result<void> member_add(const std::string& name, const std::string& path);
    Result<void> directory_add(const std::string& path, const struct stat& info);
    Result<void> file_add(const std::string& path, const struct stat& info);
    Result<void> symlink_add(const std::string& name,
                             const std::string& path,
                             const struct stat& info);
    Result<void> node_add(const std::string& path, const struct stat& info);
    Result<void> whiteout_add(const std::string& path, const struct stat& info);
    Result<std::size_t> file_read(std::span<std::uint8_t> into);
    Result<std::size_t> read(std::span<std::uint8_t> into);
};

/// What the archive calls that path of the tree.
std::string TreeArchive::State::member_name(const std::string& path) const {
    if (!options.top) {
        return path;
    }
    if (!options.only.empty()) {
        return *options.top;  // There is no other path.
    }
    return path.empty() && !options.top->empty() ? *options.top : *options.top + "/" + path;
}

TarEntry TreeArchive::State::entry_of(const std::string& path,
                                      const struct stat& info,
                                      TarType type) const {
    TarEntry entry;
    entry.type = type;
    entry.path = member_name(path);
    entry.mode = info.st_mode & 07777;
    entry.uid = options.ids.uid_inside(info.st_uid);
    entry.gid = options.ids.gid_inside(info.st_gid);
    entry.mtime = {info.st_mtim.tv_sec, static_cast<std::uint32_t>(info.st_mtim.tv_nsec)};
    return entry;
}

Result<Fd> TreeArchive::State::open(const std::string& path, int flags) const {
    const std::uint64_t resolve = options.mounts ? tree_resolve : tree_resolve | RESOLVE_NO_XDEV;
    return Fd::openat2(
        root.get(), path.empty() ? "." : path, static_cast<std::uint64_t>(flags), resolve);
}

/// A regular file for reading, or ENXIO. Opening anything else may have effects (a device's), and
/// in a tree that lives a name may become anything between two calls: so it is looked at first, by
/// a descriptor that does nothing, and what was looked at is what is opened.
Result<Fd> TreeArchive::State::file_open(const std::string& path) const {
    TRY(const Fd named, open(path, O_PATH | O_NOFOLLOW));

    struct stat info {};

    if (::fstat(named.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return Error::from_errno(ENXIO, "open", path);
    }
    return Fd::open("/proc/self/fd/" + std::to_string(named.get()), O_RDONLY | O_NONBLOCK);
}

Result<void> TreeArchive::State::level_enter(std::string path, Fd opened) {
    struct stat info {};

    if (::fstat(opened.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat", path);
    }
    Level level;
    level.path = std::move(path);
    level.device = info.st_dev;
    TRY(level.names, names_read(opened.get(), names_bytes));
    dir = std::move(opened);
    levels.push_back(std::move(level));
    return ok;
}

Result<void> TreeArchive::State::level_leave() {
    for (const std::string& name : levels.back().names) {
        names_bytes -= name.size() + sizeof(std::string);
    }
    levels.pop_back();
    dir.reset();
    // A level whose directory went meanwhile has no more members.
    while (!levels.empty() && !dir) {
        auto opened = open(levels.back().path, O_RDONLY | O_DIRECTORY);
        if (opened) {
            dir = *std::move(opened);
        } else if (is_elsewhere(opened.error())) {
            levels.pop_back();
        } else {
            return std::move(opened).error();
        }
    }
    return ok;
}

Result<void> TreeArchive::State::directory_add(const std::string& path, const struct stat& info) {
    TarEntry entry = entry_of(path, info, TarType::directory);
    auto opened = open(path, O_RDONLY | O_DIRECTORY);
    if (!opened) {
        // A mount point, or gone: what it is on disk is known.
        return is_elsewhere(opened.error()) ? tar.add(entry) : std::move(opened).error();
    }
    TRY(entry.xattrs, xattrs_read(opened->get(), path));
    TRY_VOID(tar.add(entry));
    if (info.st_dev != levels.back().device && is_of_the_kernel(opened->get())) {
        return ok;
    }
    if (options.form == TreeForm::layer && is_opaque(opened->get())) {
        TarEntry marker =
            entry_of(path + "/" + std::string(whiteout_opaque_name), info, TarType::file);
        marker.mode = 0;
        marker.mtime = {};
        TRY_VOID(tar.add(marker));
    }
    return level_enter(path, *std::move(opened));
}

Result<void> TreeArchive::State::file_add(const std::string& path, const struct stat& info) {
    if (info.st_nlink > 1) {
        const auto [first, is_new] =
            linked.emplace(std::pair(info.st_dev, info.st_ino), member_name(path));
        if (!is_new) {
            TarEntry entry = entry_of(path, info, TarType::hardlink);
            entry.linkpath = first->second;
            return tar.add(entry);
        }
        if (linked.size() > limits::extract_special_names_max) {
            return Error(ErrorKind::resource_exhausted, "too many hard links");
        }
    }
    TarEntry entry = entry_of(path, info, TarType::file);
    auto opened = file_open(path);
    if (!opened) {
        // Mounted over, it is an empty file on disk; gone, it need not be there.
        const bool mounted = opened.error().errno_value() == EXDEV;
        if (mounted) {
            return tar.add(entry);
        }
        return is_elsewhere(opened.error()) ? Result<void>(ok) : std::move(opened).error();
    }

    struct stat now {};

    if (::fstat(opened->get(), &now) != 0) {
        return Error::from_errno(errno, "fstat", path);
    }
    TRY(entry.xattrs, xattrs_read(opened->get(), path));
    entry.size = static_cast<std::uint64_t>(now.st_size);
    TRY_VOID(tar.begin(entry));
    if (entry.size == 0) {
        tar.end();
        return ok;
    }
    file = *std::move(opened);
    file_left = entry.size;
    return ok;
}

Result<void> TreeArchive::State::symlink_add(const std::string& name,
                                             const std::string& path,
                                             const struct stat& info) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(dir.get(), name.c_str(), target.data(), target.size());
    if (size < 0) {
        return errno == ENOENT || errno == EINVAL ? Result<void>(ok)
                                                  : Error::from_errno(errno, "readlink", path);
    }
    TarEntry entry = entry_of(path, info, TarType::symlink);
    entry.linkpath.assign(target.data(), static_cast<std::size_t>(size));
    return tar.add(entry);
}

Result<void> TreeArchive::State::whiteout_add(const std::string& path, const struct stat& info) {
    const std::string_view parent = tar_path_parent(path);
    std::string marked = parent.empty() ? std::string() : std::string(parent) + "/";
    marked.append(whiteout_prefix).append(tar_path_name(path));
    TarEntry entry = entry_of(marked, info, TarType::file);
    entry.mode = 0;
    entry.mtime = {};  // Of no meaning, and not kept when it is unpacked.
    return tar.add(entry);
}

Result<void> TreeArchive::State::node_add(const std::string& path, const struct stat& info) {
    const bool character = S_ISCHR(info.st_mode);
    if (options.form == TreeForm::layer && character && info.st_rdev == ::makedev(0, 0)) {
        return whiteout_add(path, info);
    }
    if (!character && !S_ISBLK(info.st_mode) && !S_ISFIFO(info.st_mode)) {
        return ok;  // A socket: archives have no word for it.
    }
    TarEntry entry = entry_of(path,
                              info,
                              character               ? TarType::char_device
                              : S_ISBLK(info.st_mode) ? TarType::block_device
                                                      : TarType::fifo);
    if (entry.type != TarType::fifo) {
        entry.dev_major = ::major(info.st_rdev);
        entry.dev_minor = ::minor(info.st_rdev);
    }
    return tar.add(entry);
}

Result<void> TreeArchive::State::member_add(const std::string& name, const std::string& path) {
    if (path.size() > limits::tar_path_bytes_max) {
        return Error(ErrorKind::invalid_argument, "path too long for an archive");
    }
    if (options.form == TreeForm::layer && name.starts_with(whiteout_prefix)) {
        return Error(ErrorKind::invalid_argument,
                     "a layer cannot hold a file of that name: it would mean a removal");
    }

    struct stat info {};

    if (::fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? Result<void>(ok) : Error::from_errno(errno, "fstatat", path);
    }
    if (S_ISDIR(info.st_mode)) {
        return directory_add(path, info);
    }
    if (S_ISREG(info.st_mode)) {
        return file_add(path, info);
    }
    return S_ISLNK(info.st_mode) ? symlink_add(name, path, info) : node_add(path, info);
}

Result<void> TreeArchive::State::begin() {
    TRY(Fd top, Fd::openat(root.get(), ".", O_RDONLY | O_DIRECTORY));
    if (!options.only.empty()) {
        Level level;
        level.names.push_back(options.only);
        names_bytes += options.only.size() + sizeof(std::string);
        dir = std::move(top);
        levels.push_back(std::move(level));
        return ok;
    }
    if (options.top) {
        struct stat info {};

        if (::fstat(top.get(), &info) != 0) {
            return Error::from_errno(errno, "fstat", *options.top);
        }
        TarEntry entry = entry_of("", info, TarType::directory);
        TRY(entry.xattrs, xattrs_read(top.get(), *options.top));
        TRY_VOID(tar.add(entry));
    }
    return level_enter("", std::move(top));
}

Result<void> TreeArchive::State::member_next() {
    if (!begun) {
        begun = true;
        return begin();
    }
    if (levels.empty()) {
        tar.finish();
        ended = true;
        return ok;
    }
    Level& level = levels.back();
    if (level.next == level.names.size()) {
        return level_leave();
    }
    const std::string name = level.names[level.next++];
    const std::string path = level.path.empty() ? name : level.path + "/" + name;
    Result<void> added = member_add(name, path);
    return added ? added : std::move(added).error().context("pack", path);
}

Result<std::size_t> TreeArchive::State::file_read(std::span<std::uint8_t> into) {
    into = into.first(std::min<std::uint64_t>(into.size(), file_left));
    ssize_t got = ::read(file.get(), into.data(), into.size());
    while (got < 0 && errno == EINTR) {
        got = ::read(file.get(), into.data(), into.size());
    }
    if (got < 0) {
        return Error::from_errno(errno, "read", levels.empty() ? "" : levels.back().path);
    }
    auto size = static_cast<std::size_t>(got);
    if (size == 0) {
        std::fill(into.begin(), into.end(), std::uint8_t{0});  // It has shrunk.
        size = into.size();
    }
    tar.data_elsewhere(size);
    file_left -= size;
    if (file_left == 0) {
        file.reset();
        tar.end();
    }
    return size;
}

Result<std::size_t> TreeArchive::State::read(std::span<std::uint8_t> into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const std::size_t waiting = out.size() - out_at;
        if (waiting != 0 && (file || ended || waiting >= headers_bytes)) {
            const std::size_t part = std::min(waiting, into.size() - filled);
            std::memcpy(&into[filled], &out[out_at], part);
            out_at += part;
            filled += part;
            if (out_at == out.size()) {
                out.clear();
                out_at = 0;
            }
        } else if (file) {
            TRY(const std::size_t got, file_read(into.subspan(filled)));
            filled += got;
        } else if (ended) {
            break;
        } else {
            TRY_VOID(member_next());
        }
    }
    return filled;
}

TreeArchive::TreeArchive(Fd root, TreeArchiveOptions options)
    : state_(std::make_unique<State>(std::move(root), std::move(options))) {}

TreeArchive::TreeArchive(TreeArchive&&) noexcept = default;
TreeArchive& TreeArchive::operator=(TreeArchive&&) noexcept = default;
TreeArchive::~TreeArchive() = default;

Result<std::size_t> TreeArchive::read(std::span<std::uint8_t> out) {
    if (state_->failed) {
        return Error(*state_->failed);
    }
    auto got = state_->read(out);
    if (!got) {
        state_->failed = got.error();
    }
    return got;
}

}  // namespace davit
