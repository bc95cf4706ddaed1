#include "reactor/base/fd.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <limits>

#include "reactor/base/tree_remove.h"

namespace davit {

void Fd::reset() {
    if (fd_ >= 0) {
        // close(2) releases the descriptor even when it reports EINTR or EIO: never retry it.
        ::close(fd_);
        fd_ = -1;
    }
}

Result<Fd> Fd::open(const std::string& path, int flags, mode_t mode) {
    return openat(AT_FDCWD, path, flags, mode);
}

Result<Fd> Fd::openat(int dir, const std::string& path, int flags, mode_t mode) {
    int fd = -1;
    do {
        fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return Error::from_errno(errno, "open", path);
    }
    return Fd(fd);
}

Result<Fd> Fd::openat2(
    int dir, const std::string& path, std::uint64_t flags, std::uint64_t resolve, mode_t mode) {
    struct open_how how {};

    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = resolve;
    // EAGAIN: a rename raced with RESOLVE_IN_ROOT (openat2(2)); the kernel asks to try again.
    constexpr int tries_max = 64;
    for (int tries = 0;; ++tries) {
        const long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof(how));
        if (fd >= 0) {
            return Fd(static_cast<int>(fd));
        }
        if ((errno != EAGAIN && errno != EINTR) || tries == tries_max) {
            return Error::from_errno(errno, "openat2", path);
        }
    }
}

Result<Fd> Fd::duplicate(int fd) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        return Error::from_errno(errno, "fcntl(F_DUPFD_CLOEXEC)");
    }
    return Fd(copy);
}

Result<Pipe> pipe_make(int flags) {
    int fds[2];
    if (::pipe2(fds, flags | O_CLOEXEC) != 0) {
        return Error::from_errno(errno, "pipe2");
    }
    return Pipe{Fd(fds[0]), Fd(fds[1])};
}

Result<std::string> file_read(int dir, const std::string& path, std::size_t bytes_max) {
    TRY(Fd fd, Fd::openat(dir, path, O_RDONLY));
    std::string text;
    std::size_t used = 0;
    for (;;) {
        if (used == text.size()) {
            if (used > bytes_max) {
                return Error(
                    ErrorKind::resource_exhausted,
                    "read " + path + ": larger than " + std::to_string(bytes_max) + " bytes");
            }
            text.resize(std::max<std::size_t>(4096, used * 2));
        }
        const ssize_t got = ::read(fd.get(), text.data() + used, text.size() - used);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return Error::from_errno(errno, "read", path);
        }
        if (got == 0) {
            text.resize(used);
            return text;
        }
        used += static_cast<std::size_t>(got);
    }
}

Result<std::string> file_read(const std::string& path, std::size_t bytes_max) {
    return file_read(AT_FDCWD, path, bytes_max);
}

Result<void> file_write_existing(int dir, const std::string& path, std::string_view text) {
    TRY(Fd fd, Fd::openat(dir, path, O_WRONLY));
    ssize_t done = -1;
    do {
        done = ::write(fd.get(), text.data(), text.size());
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        return Error::from_errno(errno, "write", path);
    }
    if (static_cast<std::size_t>(done) != text.size()) {
        return Error(ErrorKind::internal, "write " + path + ": short write");
    }
    return ok;
}

Result<void> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(fd, bytes.data(), bytes.size());
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return Error::from_errno(errno, "write");
        }
        bytes.remove_prefix(static_cast<std::size_t>(done));
    }
    return ok;
}

Result<void> file_replace(int dir, const std::string& path, std::string_view text, mode_t mode) {
    static std::atomic<unsigned> counter{0};
    const std::string temporary =
        path + ".tmp" + std::to_string(::getpid()) + "." + std::to_string(counter.fetch_add(1));
    TRY(Fd fd, Fd::openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    Result<void> written = write_all(fd.get(), text);
    if (written && ::renameat(dir, temporary.c_str(), dir, path.c_str()) != 0) {
        written = Error::from_errno(errno, "rename", path);
    }
    if (!written) {
        ::unlinkat(dir, temporary.c_str(), 0);
        return std::move(written).error().context("write", path);
    }
    return ok;
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    for (std::size_t end = 0; end != std::string::npos;) {
        end = path.find('/', end + 1);
        const std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
            return Error::from_errno(errno, "mkdir", part);
        }
    }

    struct stat info {};

    if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
        return Error::from_errno(ENOTDIR, "mkdir", path);
    }
    return ok;
}

Result<void> remove_tree(int dir, const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
    const std::string name =
        slash == std::string::npos ? path.substr(0, end + 1) : path.substr(slash + 1, end - slash);
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    auto parent = Fd::openat(dir, above, O_PATH | O_DIRECTORY);
    if (!parent) {
        return parent.error().errno_value() == ENOENT
                   ? Result<void>(ok)
                   : std::move(parent).error().context("remove", path);
    }
    TreeRemove removal(*std::move(parent), name);
    auto removed = removal.step(std::numeric_limits<std::uint64_t>::max());
    if (!removed) {
        return std::move(removed).error().context("remove", path);
    }
    return ok;
}

}  // namespace davit
