#include "drivers/graph/links_below.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <set>
#include <string>

#include "graph/tar_path.h"
#include "graph/tree_entry.h"
#include "graph/whiteout.h"
#include "reactor/base/fd.h"

namespace davit {

namespace {

/// An open directory whose times are to stay what they are.
struct Kept {
    Fd fd;

    struct stat status {};
};

Result<Kept> directory_open(int root, const std::string& path) {
    Kept kept;
    TRY(kept.fd,
        Fd::openat2(root,
                    path.empty() ? "." : path,
                    O_RDONLY | O_DIRECTORY,
                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
    if (::fstat(kept.fd.get(), &kept.status) != 0) {
        return Error::from_errno(errno, "fstat", path);
    }
    return kept;
}

class LinksBelow {
  public:
    LinksBelow(int below, int layer_root)
        : below_(below), root_(layer_root), entries_(layer_root, TreeFiles::copy) {}

    Result<void> make(const LinkBelow& link) {
        Result<Kept> parent = directory_open(root_, std::string(tar_path_parent(link.path)));
        if (!parent) {
            // A later entry of the archive has replaced the directory that it was in.
            const int number = parent.error().errno_value();
            return number == ENOENT || number == ENOTDIR ? Result<void>(ok) : parent.error();
        }
        const std::string target_parent(tar_path_parent(link.target));
        const std::string target_name(tar_path_name(link.target));
        Result<Kept> source = directory_open(below_, target_parent);

        struct stat status {};

        if (!source ||
            ::fstatat(source->fd.get(), target_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return refused(link,
                           !source && source.error().errno_value() == ELOOP
                               ? "there is a symbolic link in its way"
                               : "no such file in this layer or below it");
        }
        if (S_ISDIR(status.st_mode)) {
            return refused(link, "it is a directory");
        }
        const TreePlace from{source->fd.get(), target_name.c_str()};
        const std::string name(tar_path_name(link.path));
        const TreePlace to{parent->fd.get(), name.c_str()};
        TRY(const bool up, copy_up(from, status, target_parent, link.target));
        if (up && ::linkat(root_, link.target.c_str(), to.dir, to.name, 0) != 0) {
            return Error::from_errno(errno, "linkat", link.path);
        }
        if (!up) {
            TRY_VOID(entries_.make(from, status, to, link.path));
            bytes_ += size_of(status);
        }
        return tree_times_copy(parent->status, parent->fd.get(), ".");
    }

    std::uint64_t bytes() const { return bytes_; }

  private:
    static Error refused(const LinkBelow& link, const char* why) {
        return Error(ErrorKind::corrupt, "hard link to " + link.target + ": " + why)
            .context("extract", link.path);
    }

    static std::uint64_t size_of(const struct stat& status) {
        return S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
    }

    /// Gives: whether the file is at its own name in the layer, as it is below.
    Result<bool> copy_up(TreePlace from,
                         const struct stat& status,
                         const std::string& parent,
                         const std::string& path) {
        if (copied_.contains(path)) {
            return true;
        }
        TRY(const bool free, parents_make(parent));
        if (!free) {
            return false;
        }
        TRY(const Kept directory, directory_open(root_, parent));
        if (::faccessat(directory.fd.get(), from.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            return false;
        }
        TRY_VOID(entries_.make(from, status, {directory.fd.get(), from.name}, path));
        copied_.insert(path);
        bytes_ += size_of(status);
        TRY_VOID(tree_times_copy(directory.status, directory.fd.get(), "."));
        return true;
    }

    /// Gives: whether what is below path shows through this layer.
    Result<bool> parents_make(const std::string& path) {
        if (path.empty()) {
            return true;
        }
        const std::string above(tar_path_parent(path));
        TRY(const bool free, parents_make(above));
        if (!free) {
            return false;
        }
        const Result<Kept> there = directory_open(root_, path);
        if (there) {
            return !is_opaque(there->fd.get());
        }
        if (there.error().errno_value() != ENOENT) {
            return false;  // A whiteout, or whatever else the layer has in its place.
        }
        TRY(const Kept directory, directory_open(root_, above));
        TRY(const Kept source, directory_open(below_, above));
        const std::string name(tar_path_name(path));

        struct stat status {};

        if (::fstatat(source.fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            ::mkdirat(directory.fd.get(), name.c_str(), 0700) != 0) {
            return Error::from_errno(errno, "mkdirat", path);
        }
        TRY_VOID(TreeEntries::directory_like(
            {source.fd.get(), name.c_str()}, status, {directory.fd.get(), name.c_str()}));
        TRY_VOID(tree_times_copy(status, directory.fd.get(), name));
        TRY_VOID(tree_times_copy(directory.status, directory.fd.get(), "."));
        return true;
    }

    int below_;
    int root_;
    TreeEntries entries_;
    std::set<std::string> copied_;
    std::uint64_t bytes_ = 0;
};

}  // namespace

Result<std::uint64_t> links_below_make(int below,
                                       int layer_root,
                                       std::span<const LinkBelow> links) {
    LinksBelow all(below, layer_root);
    for (const LinkBelow& link : links) {
        TRY_VOID(all.make(link));
    }
    return all.bytes();
}

}  // namespace davit
