#include "jobs/container/path_stat.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "jobs/container/path_clean.h"

namespace davit {

namespace {

constexpr std::uint64_t resolve_flags = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// As moby/sys/symlink and the kernel's own walk allow, with room.
constexpr int links_max = 255;

/// Go's os.ModeDir and so on.
constexpr std::uint32_t go_directory = 1U << 31;
constexpr std::uint32_t go_symlink = 1U << 27;
constexpr std::uint32_t go_device = 1U << 26;
constexpr std::uint32_t go_named_pipe = 1U << 25;
constexpr std::uint32_t go_socket = 1U << 24;
constexpr std::uint32_t go_setuid = 1U << 23;
constexpr std::uint32_t go_setgid = 1U << 22;
constexpr std::uint32_t go_char_device = 1U << 21;
constexpr std::uint32_t go_sticky = 1U << 20;

bool names_itself(std::string_view path) {
    return path == "." || path.ends_with("/.");
}

/// The target of a link by its O_PATH descriptor.
Result<std::string> link_read(int link, const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(link, "", target.data(), target.size());
    if (size < 0) {
        return Error::from_errno(errno, "readlink", path);
    }
    return std::string(target.data(), static_cast<std::size_t>(size));
}

}  // namespace

std::string copy_path_clean(std::string_view path) {
    std::string clean = path_clean(path);
    if (names_itself(path)) {
        clean.append(clean == "/" ? "." : "/.");
    } else if (path.ends_with('/') && clean != "/") {
        clean.push_back('/');
    }
    return clean;
}

std::string copy_path_base(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.remove_suffix(1);
    }
    return path == "/" ? "/" : std::string(path.substr(path.rfind('/') + 1));
}

std::string copy_path_parent(std::string_view path) {
    return std::string(path.substr(0, path.rfind('/') + 1));
}

std::uint32_t go_file_mode(mode_t mode) {
    std::uint32_t go = mode & 0777;
    go |= (mode & S_ISUID) != 0 ? go_setuid : 0;
    go |= (mode & S_ISGID) != 0 ? go_setgid : 0;
    go |= (mode & S_ISVTX) != 0 ? go_sticky : 0;
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return go | go_directory;
        case S_IFLNK:
            return go | go_symlink;
        case S_IFIFO:
            return go | go_named_pipe;
        case S_IFSOCK:
            return go | go_socket;
        case S_IFBLK:
            return go | go_device;
        case S_IFCHR:
            return go | go_device | go_char_device;
        default:
            return go;
    }
}

Result<ContainerPath> container_path_find(int root, const std::string& path) {
    ContainerPath found;
    TRY(found.named, Fd::openat2(root, path, O_PATH | O_NOFOLLOW, resolve_flags));

    struct stat info {};

    if (::fstat(found.named.get(), &info) != 0) {
        return Error::from_errno(errno, "fstat", path);
    }
    found.type = info.st_mode & S_IFMT;
    found.stat.name = copy_path_base(path);
    found.stat.size = info.st_size;
    found.stat.mode = go_file_mode(info.st_mode);
    constexpr std::int64_t nanoseconds = 1'000'000'000;
    found.stat.mtime =
        wall_from_unix_nanoseconds(info.st_mtim.tv_sec * nanoseconds + info.st_mtim.tv_nsec);
    if (S_ISLNK(info.st_mode)) {
        TRY(found.stat.link_target, container_links_follow(root, path));
    }
    return found;
}

Result<Fd> container_directory_open(int root, const std::string& path) {
    auto opened = Fd::openat2(root, path, O_RDONLY | O_DIRECTORY, resolve_flags);
    if (!opened && opened.error().errno_value() == ENOTDIR) {
        return Error(ErrorKind::invalid_argument, "extraction point is not a directory");
    }
    return opened;
}

Result<std::string> container_links_follow(int root, std::string_view path) {
    std::string rest(path);
    std::string followed;
    for (int links = 0; !rest.empty();) {
        const std::string part = rest.substr(0, rest.find('/'));
        rest.erase(0, std::min(rest.size(), part.size() + 1));
        if (part.empty() || part == ".") {
            continue;
        }
        if (part == "..") {
            followed = followed.substr(0, std::min(followed.size(), followed.rfind('/')));
            continue;
        }
        const std::string next = followed + "/" + part;
        const auto named =
            Fd::openat2(root, next, O_PATH | O_NOFOLLOW, resolve_flags | RESOLVE_NO_SYMLINKS);
        const auto target =
            named ? link_read(named->get(), next) : Result<std::string>(named.error());
        if (!target) {
            followed = next;  // No link, or not there.
            continue;
        }
        if (++links > links_max) {
            return Error(ErrorKind::resource_exhausted, "too many links in " + std::string(path));
        }
        if (target->starts_with('/')) {
            followed.clear();
        }
        rest = *target + "/" + rest;
    }
    return followed.empty() ? "/" : followed;
}

}  // namespace davit
