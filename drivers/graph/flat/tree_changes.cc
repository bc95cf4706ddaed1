#include "drivers/graph/flat/tree_changes.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "drivers/graph/directory_names.h"

namespace davit {

namespace {

bool is_gone(int number) {
    return number == ENOENT || number == ENOTDIR || number == ELOOP || number == EXDEV ||
           number == EAGAIN || number == ENAMETOOLONG;
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

Result<bool> TreeChanges::open_next() {
    while (!waiting_.empty()) {
        path_ = std::move(waiting_.back());
        waiting_.pop_back();
        Result<Fd> directory =
            Fd::openat2(after_.get(), path_, O_RDONLY | O_DIRECTORY, open_beneath);
        if (!directory && is_gone(directory.error().errno_value())) {
            continue;
        }
        if (!directory) {
            return std::move(directory).error();
        }
        Result<Fd> old = Fd::openat2(before_.get(), path_, O_RDONLY | O_DIRECTORY, open_beneath);
        old_ = old ? *std::move(old) : Fd();
        stream_.reset(::fdopendir(directory->get()));
        if (!stream_) {
            return Error::from_errno(errno, "fdopendir", path_);
        }
        static_cast<void>(directory->release());  // fdopendir took it.
        return true;
    }
    return false;
}

/// The directory of the diff, with those above it, each like the one in the tree.
Result<void> TreeChanges::directory_make(const std::string& path) {
    std::vector<std::string> missing;
    for (std::string at = path; at != "."; at = parent_of(at)) {
        if (::faccessat(diff_.get(), at.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            break;
        }
        missing.push_back(at);
    }
    for (auto one = missing.rbegin(); one != missing.rend(); ++one) {
        if (::mkdirat(diff_.get(), one->c_str(), 0700) != 0) {
            return Error::from_errno(errno, "mkdirat", *one);
        }
        made_.push_back(*one);
        Result<Fd> source = Fd::openat2(after_.get(), *one, O_RDONLY | O_DIRECTORY, open_beneath);
        if (!source && is_gone(source.error().errno_value())) {
            continue;
        }
        if (!source) {
            return std::move(source).error();
        }

        struct stat status {};

        if (::fstat(source->get(), &status) != 0) {
            return Error::from_errno(errno, "fstat", *one);
        }
        const TreePlace from{source->get(), "."};
        const TreePlace to{diff_.get(), one->c_str()};
        TRY_VOID(TreeEntries::directory_like(from, status, to));
    }
    return ok;
}

Result<Fd> TreeChanges::parent_make(const std::string& path) {
    TRY_VOID(directory_make(path));
    return Fd::openat2(diff_.get(), path, O_RDONLY | O_DIRECTORY, open_beneath);
}

Result<void> TreeChanges::take(const char* name) {
    const int after = ::dirfd(stream_.get());

    struct stat now {};

    if (::fstatat(after, name, &now, AT_SYMLINK_NOFOLLOW) != 0) {
        return ok;  // Gone meanwhile.
    }

    struct stat old {};

    const bool was = old_ && ::fstatat(old_.get(), name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    const TreePlace from{after, name};
    const bool changed = !was || tree_entry_differs(TreePlace{old_.get(), name}, old, from, now);
    const std::string path = path_ + "/" + name;
    if (S_ISDIR(now.st_mode)) {
        waiting_.push_back(path);
        return changed ? directory_make(path) : Result<void>(ok);
    }
    // A device 0/0 would be taken for a whiteout.
    if (!changed || (S_ISCHR(now.st_mode) && now.st_rdev == 0)) {
        return ok;
    }
    TRY(const Fd parent, parent_make(path_));
    const TreePlace to{parent.get(), name};
    Result<void> made = entries_.make(from, now, to, path);
    if (!made && is_gone(made.error().errno_value())) {
        return ok;
    }
    return made;
}

/// What was in this directory before and is not now gets a whiteout.
Result<void> TreeChanges::removed_mark() {
    if (!old_) {
        return ok;
    }
    const int after = ::dirfd(stream_.get());
    TRY(const std::vector<std::string> names, directory_names(old_.get(), "."));
    for (const std::string& name : names) {
        if (::faccessat(after, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
            continue;
        }
        TRY(const Fd parent, parent_make(path_));
        if (::mknodat(parent.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0 && errno != EEXIST) {
            return Error::from_errno(errno, "mknodat", path_ + "/" + name);
        }
    }
    return ok;
}

Result<bool> TreeChanges::step(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) {
        if (!stream_) {
            TRY(const bool opened, open_next());
            if (!opened) {
                for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
                    struct stat status {};

                    if (::fstatat(after_.get(), path->c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
                        TRY_VOID(tree_times_copy(status, diff_.get(), *path));
                    }
                }
                return false;
            }
        }
        errno = 0;
        const dirent* entry = ::readdir(stream_.get());
        if (entry == nullptr) {
            if (errno != 0 && errno != ENOENT) {
                return Error::from_errno(errno, "readdir", path_);
            }
            TRY_VOID(removed_mark());
            stream_.reset();
            continue;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            TRY_VOID(take(entry->d_name));
        }
    }
    return true;
}

}  // namespace davit
