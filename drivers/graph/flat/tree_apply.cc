#include "drivers/graph/flat/tree_apply.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <string_view>

#include "drivers/graph/directory_names.h"
#include "graph/whiteout.h"

namespace davit {

namespace {

bool is_directory(int dir, const char* name) {
    struct stat status {};

    return ::fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

Result<bool> TreeApply::open_next() {
    if (waiting_.empty()) {
        return false;
    }
    path_ = std::move(waiting_.back());
    waiting_.pop_back();
    TRY(Fd directory, Fd::openat2(from_.get(), path_, O_RDONLY | O_DIRECTORY, open_beneath));
    TRY(target_, Fd::openat2(to_.get(), path_, O_RDONLY | O_DIRECTORY, open_beneath));
    if (path_ == ".") {
        struct stat status {};

        if (::fstat(directory.get(), &status) != 0) {
            return Error::from_errno(errno, "fstat", path_);
        }
        const TreePlace from{directory.get(), "."};
        const TreePlace to{target_.get(), "."};
        TRY_VOID(TreeEntries::directory_like(from, status, to));
    }
    stream_.reset(::fdopendir(directory.get()));
    if (!stream_) {
        return Error::from_errno(errno, "fdopendir", path_);
    }
    static_cast<void>(directory.release());  // fdopendir took it.
    visited_.push_back(path_);
    return true;
}

Result<void> TreeApply::directory_take(const char* name, const struct stat& status) {
    const int from = ::dirfd(stream_.get());
    bool merge = is_directory(target_.get(), name);
    if (merge && options_.whiteouts) {
        TRY(const Fd directory, Fd::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        merge = !is_opaque(directory.get());
    }
    if (!merge) {
        TRY_VOID(remove_tree(target_.get(), name));
        if (::mkdirat(target_.get(), name, 0700) != 0) {
            return Error::from_errno(errno, "mkdirat", path_ + "/" + name);
        }
    }
    const TreePlace source{from, name};
    const TreePlace target{target_.get(), name};
    TRY_VOID(TreeEntries::directory_like(source, status, target));
    waiting_.push_back(path_ + "/" + name);
    return ok;
}

Result<void> TreeApply::take(const char* name) {
    const int from = ::dirfd(stream_.get());

    struct stat status {};

    if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return Error::from_errno(errno, "fstatat", path_ + "/" + name);
    }
    if (S_ISDIR(status.st_mode)) {
        return directory_take(name, status);
    }
    if (options_.whiteouts && is_whiteout(status)) {
        return remove_tree(target_.get(), name);
    }
    const std::string path = path_ + "/" + name;
    const TreePlace source{from, name};
    const TreePlace target{target_.get(), name};
    Result<void> made = entries_.make(source, status, target, path);
    if (!made && made.error().kind() == ErrorKind::conflict) {
        TRY_VOID(remove_tree(target_.get(), name));
        made = entries_.make(source, status, target, path);
    }
    return made;
}

/// What is made inside a directory changes its times: innermost first, after all is made.
Result<void> TreeApply::times_set() const {
    for (auto path = visited_.rbegin(); path != visited_.rend(); ++path) {
        struct stat status {};

        if (::fstatat(from_.get(), path->c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return Error::from_errno(errno, "fstatat", *path);
        }
        TRY_VOID(tree_times_copy(status, to_.get(), *path));
    }
    return ok;
}

Result<bool> TreeApply::step(std::size_t entries) {
    for (std::size_t i = 0; i < entries; ++i) {
        if (!stream_) {
            TRY(const bool opened, open_next());
            if (!opened) {
                TRY_VOID(times_set());
                return false;
            }
        }
        errno = 0;
        const dirent* entry = ::readdir(stream_.get());
        if (entry == nullptr) {
            if (errno != 0) {
                return Error::from_errno(errno, "readdir", path_);
            }
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
