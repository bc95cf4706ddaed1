#include <linux/fcntl.h>
#include <linux/magic.h>

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/statfs.h>

#include "libcontainer/init/init.h"

namespace davit::init {

namespace {

constexpr size_t path_bytes_max = 4096;

long openat2_call(int dir, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = resolve;
    // EAGAIN: a rename elsewhere raced with the resolution of a ".."; the kernel asks to try again.
    long fd = -EAGAIN;
    for (int tries = 0; fd == -EAGAIN && tries < 128; ++tries) {
        fd = raw::call(__NR_openat2, dir, path, &how, sizeof(how));
    }
    return fd;
}

/// One missing component below an open directory.
long component_make(int parent, const char* name) {
    const long made = raw::call(__NR_mkdirat, parent, name, 0755);
    if (made < 0 && made != -EEXIST) {
        return made;
    }
    // EEXIST with the path missing: a symlink that leads nowhere, which RESOLVE_NO_SYMLINKS
    // refuses.
    return openat2_call(parent,
                        name,
                        O_PATH | O_DIRECTORY,
                        0,
                        RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

bool is_dots(const char* name) {
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/// Put the target of the symlink `name`, which leads nowhere yet, into the path in its place: what
/// the link names is then created inside the root, as Docker does for an image's /etc/resolv.conf
/// -> /run/....
long link_expand(long dir, char* path, size_t name_begin, size_t name_end) {
    // procfs' links are magic: their text is a path of wherever the descriptor came from.
    struct statfs filesystem = {};
    if (raw::call(__NR_fstatfs, dir, &filesystem) < 0 || filesystem.f_type == PROC_SUPER_MAGIC) {
        return -ELOOP;
    }
    char target[path_bytes_max];
    const char stop = path[name_end];
    path[name_end] = '\0';
    const long got = raw::call(__NR_readlinkat, dir, path + name_begin, target, sizeof(target));
    path[name_end] = stop;
    if (got < 0) {
        return got == -EINVAL ? -ENOTDIR
                              : got;  // Not a symlink: a file where a directory should be.
    }
    const size_t rest = length(path + name_end);
    const size_t kept = target[0] == '/' ? 0 : name_begin;
    const auto size = static_cast<size_t>(got);
    if (kept + size + rest + 1 > path_bytes_max) {
        return -ENAMETOOLONG;
    }
    // The rest first: the two overlap, in either direction.
    char* to = path + kept + size;
    const char* from = path + name_end;
    if (to < from) {
        for (size_t i = 0; i <= rest; ++i) {
            to[i] = from[i];
        }
    } else {
        for (size_t i = rest + 1; i > 0; --i) {
            to[i - 1] = from[i - 1];
        }
    }
    for (size_t i = 0; i < size; ++i) {
        path[kept + i] = target[i];
    }
    return 0;
}

/// What tail_make says when it put a symlink's target into the path, which is to be looked at anew.
constexpr long again = 1L << 40;

/// Create what is missing of path, whose first `exists` bytes are known to exist.
long tail_make(State& state, char* path, size_t exists, bool no_symlink) {
    const char first = path[exists];
    path[exists] = '\0';
    long dir = path_open(state, exists == 0 ? "/" : path, O_DIRECTORY, no_symlink);
    path[exists] = first;
    size_t begin = exists;
    while (dir >= 0) {
        while (path[begin] == '/') {
            ++begin;
        }
        if (path[begin] == '\0') {
            return dir;
        }
        size_t end = begin;
        while (path[end] != '\0' && path[end] != '/') {
            ++end;
        }
        const char stop = path[end];
        path[end] = '\0';
        long next =
            is_dots(path + begin) ? -EINVAL : component_make(static_cast<int>(dir), path + begin);
        path[end] = stop;
        if (next == -ELOOP && !no_symlink) {
            const long expanded = link_expand(dir, path, begin, end);
            next = expanded < 0 ? expanded : again;
        }
        descriptor_close(dir);
        if (next < 0) {
            return fail(state, "mkdirat", path, next);
        }
        dir = next;
        begin = end;
        if (next == again) {
            break;
        }
    }
    return dir;
}

/// The length of the longest prefix that exists, from the back: usually all but the last component.
long prefix_find(State& state, char* path, bool no_symlink) {
    size_t exists = length(path);
    while (exists > 0) {
        --exists;
        if (path[exists] != '/') {
            continue;
        }
        path[exists] = '\0';
        const long prefix = path_open(state, exists == 0 ? "/" : path, O_DIRECTORY, no_symlink);
        path[exists] = '/';
        if (prefix >= 0) {
            descriptor_close(prefix);
            break;
        }
        if (prefix != -ENOENT) {
            return prefix;
        }
    }
    return static_cast<long>(exists);
}

constexpr int links_max = 40;  // As the kernel's own bound on symlinks in a path.

}  // namespace

long path_open(State& state, const char* path, uint64_t flags, bool no_symlink) {
    const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                             (no_symlink ? static_cast<uint64_t>(RESOLVE_NO_SYMLINKS) : 0);
    const long fd = openat2_call(state.root, path, flags | O_PATH, 0, resolve);
    return fd < 0 ? fail(state, "openat2", path, fd) : fd;
}

long directory_ensure(State& state, const char* path, bool no_symlink) {
    long fd = path_open(state, path, O_DIRECTORY, no_symlink);
    if (fd != -ENOENT) {
        return fd;
    }
    if (length(path) + 1 > path_bytes_max) {
        return fail(state, "openat2", path, -ENAMETOOLONG);
    }
    char buffer[path_bytes_max];
    copy_text(buffer, sizeof(buffer), path);
    for (int links = 0; links < links_max; ++links) {
        const long exists = prefix_find(state, buffer, no_symlink);
        if (exists < 0) {
            return exists;
        }
        fd = tail_make(state, buffer, static_cast<size_t>(exists), no_symlink);
        if (fd != again) {
            return fd;
        }
    }
    return fail(state, "openat2", path, -ELOOP);
}

long parent_ensure(State& state, const char* path, const char*& last) {
    const size_t size = length(path);
    size_t slash = size;
    while (slash > 0 && path[slash - 1] != '/') {
        --slash;
    }
    last = path + slash;
    if (*last == '\0' || is_dots(last) || slash + 1 > path_bytes_max) {
        return fail(state, "openat2", path, -EINVAL);
    }
    char parent[path_bytes_max];
    copy_text(parent, slash + 1, path);
    return directory_ensure(state, slash == 0 ? "/" : parent, false);
}

long file_ensure(State& state, const char* path) {
    char buffer[path_bytes_max];
    if (length(path) + 1 > path_bytes_max) {
        return fail(state, "openat2", path, -ENAMETOOLONG);
    }
    copy_text(buffer, sizeof(buffer), path);
    for (int links = 0; links < links_max; ++links) {
        const long fd = path_open(state, buffer, 0, false);
        if (fd != -ENOENT) {
            return fd;
        }
        const char* last = nullptr;
        const long dir = parent_ensure(state, buffer, last);
        if (dir < 0) {
            return dir;
        }
        long made = openat2_call(static_cast<int>(dir),
                                 last,
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                                 0644,
                                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        const bool is_link = made == -EEXIST || made == -ELOOP;
        if (is_link) {
            const auto begin = static_cast<size_t>(last - buffer);
            made = link_expand(dir, buffer, begin, begin + length(last));
        }
        descriptor_close(dir);
        if (made < 0) {
            return fail(state, "openat2", path, made);
        }
        if (!is_link) {
            return made;
        }
    }
    return fail(state, "openat2", path, -ELOOP);
}

long file_open(State& state, const char* path, uint64_t flags) {
    const long fd =
        openat2_call(state.root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    return fd < 0 ? fail(state, "openat2", path, fd) : fd;
}

long descriptor_stat(int fd, struct statx& info) {
    return raw::call(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_UID, &info);
}

long file_write(State& state, int dir, const char* path, const char* text) {
    const uint64_t resolve =
        dir == AT_FDCWD ? 0 : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    const long fd = openat2_call(dir, path, O_WRONLY, 0, resolve);
    if (fd < 0) {
        return fail(state, "openat2", path, fd);
    }
    const auto size = static_cast<long>(length(text));
    const long done = raw::call(__NR_write, fd, text, size);
    descriptor_close(fd);
    if (done < 0) {
        return fail(state, "write", path, done);
    }
    return done == size ? 0 : fail(state, "write", path, -EIO);
}

}  // namespace davit::init
