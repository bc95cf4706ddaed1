#include "jobs/container/tree_size.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "reactor/offload.h"

namespace davit {

namespace {

/// A directory that was removed, or became something else, or was moved meanwhile; or lies too
/// deep.
bool is_gone(int number) {
    return number == ENOENT || number == ENOTDIR || number == ELOOP || number == EXDEV ||
           number == EAGAIN || number == ENAMETOOLONG;
}

}  // namespace

Result<bool> TreeSize::open_next() {
    while (!waiting_.empty()) {
        path_ = std::move(waiting_.back());
        waiting_.pop_back();
        Result<Fd> directory = Fd::openat2(
            root_.get(), path_, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (!directory && is_gone(directory.error().errno_value())) {
            continue;
        }
        if (!directory) {
            return std::move(directory).error();
        }
        stream_.reset(::fdopendir(directory->get()));
        if (!stream_) {
            return Error::from_errno(errno, "fdopendir", path_);
        }
        static_cast<void>(directory->release());  // fdopendir took it.
        return true;
    }
    return false;
}

void TreeSize::add(const char* name) {
    struct stat status {};

    if (::fstatat(::dirfd(stream_.get()), name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        waiting_.push_back(path_ + "/" + name);
    } else if (status.st_nlink == 1 || linked_.emplace(status.st_dev, status.st_ino).second) {
        bytes_ += static_cast<std::uint64_t>(status.st_size);
    }
}

Result<bool> TreeSize::step(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) {
        if (!stream_) {
            TRY(const bool opened, open_next());
            if (!opened) {
                return false;
            }
        }
        errno = 0;
        const dirent* entry = ::readdir(stream_.get());
        if (entry == nullptr) {
            if (errno != 0 && errno != ENOENT) {
                return Error::from_errno(errno, "readdir", path_);
            }
            stream_.reset();
            continue;
        }
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") {
            continue;
        }
        if (++seen_ > tree_entries_max) {
            return Error(ErrorKind::resource_exhausted,
                         "more than " + std::to_string(tree_entries_max) + " files: not measured");
        }
        add(entry->d_name);
    }
    return true;
}

Task<std::uint64_t> tree_bytes(Fd root) {
    constexpr std::size_t entries_per_step = 4096;  // Some milliseconds: how late a cancel may be.
    TreeSize tree(std::move(root));
    for (bool more = true; more;) {
        auto step = [&tree] { return tree.step(entries_per_step); };
        CO_TRY(more, co_await offload_bulk(step));
    }
    co_return tree.bytes();
}

}  // namespace davit
