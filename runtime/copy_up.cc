#include "runtime/copy_up.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "graph/tree_entry.h"
#include "libcontainer/mount.h"

namespace davit {

namespace {

constexpr int depth_max = 256;

class TreeCopy {
  public:
    /// Takes: the new tree's root, which outlives this.
    explicit TreeCopy(int to) : entries_(to, TreeFiles::copy) {}

    /// What is in a directory, and the directory's own attributes by who calls.
    Result<void> run(int from, int to, const std::string& path, int depth) {
        if (depth > depth_max) {
            return Error(ErrorKind::resource_exhausted, "tmpcopyup: too deep: " + path);
        }
        TRY(Fd listed, Fd::openat(from, ".", O_RDONLY | O_DIRECTORY));
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(listed.get()), ::closedir);
        if (!directory) {
            return Error::from_errno(errno, "fdopendir", path);
        }
        static_cast<void>(listed.release());
        while (const dirent* entry = ::readdir(directory.get())) {
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") {
                const std::string below =
                    path.empty() ? std::string(name) : path + "/" + entry->d_name;
                TRY_VOID(one({from, entry->d_name}, {to, entry->d_name}, below, depth));
            }
        }
        return ok;
    }

  private:
    Result<void> one(TreePlace from, TreePlace to, const std::string& path, int depth) {
        struct stat status {};

        if (::fstatat(from.dir, from.name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return Error::from_errno(errno, "fstatat", path);
        }
        if (!S_ISDIR(status.st_mode)) {
            return entries_.make(from, status, to, path);
        }
        if (::mkdirat(to.dir, to.name, 0700) != 0) {
            return Error::from_errno(errno, "mkdirat", path);
        }
        constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
        TRY(const Fd source, Fd::openat(from.dir, from.name, flags));
        TRY(const Fd target, Fd::openat(to.dir, to.name, flags));
        TRY_VOID(run(source.get(), target.get(), path, depth + 1));
        TRY_VOID(TreeEntries::directory_like(from, status, to));
        return tree_times_copy(status, to.dir, to.name);
    }

    TreeEntries entries_;
};

bool says_whose(const Mount& mount) {
    return std::ranges::any_of(mount.options, [](const MountOption& option) {
        return option.first == "mode" || option.first == "uid" || option.first == "gid";
    });
}

}  // namespace

Result<Fd> tmpfs_copied_up(int root, const Mount& mount) {
    std::vector<MountOption> options = mount.options;
    options.emplace_back("source", mount.source.empty() ? mount.fstype : mount.source);
    TRY(Fd made, mount_fs_detached("tmpfs", options));
    const Result<Fd> source =
        Fd::openat2(root, mount.target, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
    if (source) {
        struct stat status {};

        if (::fstat(source->get(), &status) != 0) {
            return Error::from_errno(errno, "fstat", mount.target);
        }
        TRY_VOID(TreeCopy(made.get()).run(source->get(), made.get(), "", 0));
        if (!says_whose(mount)) {
            TRY_VOID(TreeEntries::directory_like({source->get(), "."}, status, {made.get(), "."}));
        }
    } else if (source.error().errno_value() != ENOENT && source.error().errno_value() != ENOTDIR) {
        return source.error();
    }
    MountAttributes attributes;
    attributes.set = mount.attributes;
    TRY_VOID(mount_attributes_change(made.get(), attributes));
    return made;
}

}  // namespace davit
