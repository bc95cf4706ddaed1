#include <linux/fcntl.h>

#include <asm/errno.h>
#include <asm/fcntl.h>

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

/// Create what is missing of path, whose first `exists` bytes are known to exist.
long tail_make(State& state, char* path, size_t exists) {
    char first = path[exists];
    path[exists] = '\0';
    long dir = path_open(state, exists == 0 ? "/" : path, O_DIRECTORY, false);
    path[exists] = first;
    char* name = path + exists;
    while (dir >= 0) {
        while (*name == '/') {
            ++name;
        }
        if (*name == '\0') {
            return dir;
        }
        char* end = name;
        while (*end != '\0' && *end != '/') {
            ++end;
        }
        const char stop = *end;
        *end = '\0';
        const long next = is_dots(name) ? -EINVAL : component_make(static_cast<int>(dir), name);
        *end = stop;
        descriptor_close(dir);
        if (next < 0) {
            return fail(state, "mkdirat", path, next);
        }
        dir = next;
        name = end;
    }
    return dir;
}

}  // namespace

long path_open(State& state, const char* path, uint64_t flags, bool no_symlink) {
    const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                             (no_symlink ? static_cast<uint64_t>(RESOLVE_NO_SYMLINKS) : 0);
    const long fd = openat2_call(state.root, path, flags | O_PATH, 0, resolve);
    return fd < 0 ? fail(state, "openat2", path, fd) : fd;
}

long directory_ensure(State& state, const char* path, bool no_symlink) {
    const long fd = path_open(state, path, O_DIRECTORY, no_symlink);
    if (fd != -ENOENT) {
        return fd;
    }
    const size_t size = length(path);
    if (size + 1 > path_bytes_max) {
        return fail(state, "openat2", path, -ENAMETOOLONG);
    }
    char buffer[path_bytes_max];
    copy_text(buffer, sizeof(buffer), path);
    // Backwards to the longest prefix that exists: usually all but the last component.
    size_t exists = size;
    while (exists > 0) {
        --exists;
        if (buffer[exists] != '/') {
            continue;
        }
        buffer[exists] = '\0';
        const long prefix = exists == 0 ? path_open(state, "/", O_DIRECTORY, false)
                                        : path_open(state, buffer, O_DIRECTORY, no_symlink);
        buffer[exists] = '/';
        if (prefix >= 0) {
            descriptor_close(prefix);
            break;
        }
        if (prefix != -ENOENT) {
            return prefix;
        }
    }
    return tail_make(state, buffer, exists);
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
    const long fd = path_open(state, path, 0, false);
    if (fd != -ENOENT) {
        return fd;
    }
    const char* last = nullptr;
    const long dir = parent_ensure(state, path, last);
    if (dir < 0) {
        return dir;
    }
    const long made = openat2_call(static_cast<int>(dir),
                                   last,
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                                   0644,
                                   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    descriptor_close(dir);
    return made < 0 ? fail(state, "openat2", path, made) : made;
}

long descriptor_stat(int fd, struct statx& info) {
    return raw::call(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE | STATX_UID, &info);
}

long file_write(State& state, int dir, const char* path, const char* text) {
    const uint64_t resolve = dir == AT_FDCWD ? 0 : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
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
