#include "jobs/volume/volume_directory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/graph/directory_names.h"
#include "drivers/graph/project_quota.h"
#include "jobs/volume/volume_options.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

// As Docker's: others may pass to what they are allowed to see, and list nothing.
constexpr mode_t parent_mode = 0701;
constexpr mode_t data_mode = 0755;

constexpr const char* staged = ".staged";
constexpr const char* removed = ".removed";
constexpr const char* trashed = ".trash";

Result<void> directory_make(int dir, const std::string& path, mode_t mode) {
    if (::mkdirat(dir, path.c_str(), mode) != 0) {
        return Error::from_errno(errno, "mkdirat", path);
    }
    if (::fchmodat(dir, path.c_str(), mode, 0) != 0) {  // Whatever the umask.
        const int failed = errno;
        static_cast<void>(::unlinkat(dir, path.c_str(), AT_REMOVEDIR));
        return Error::from_errno(failed, "fchmodat", path);
    }
    return ok;
}

Result<void> rename_new(int dir, const std::string& from, const std::string& to) {
    if (::renameat2(dir, from.c_str(), dir, to.c_str(), RENAME_NOREPLACE) != 0) {
        return Error::from_errno(errno, "renameat2", from);
    }
    return ok;
}

bool exists(int dir, const std::string& path) {
    return ::faccessat(dir, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

std::string ephemeral_path(const std::string& directory) {
    return directory + "/ephemeral";
}

}  // namespace

Result<std::unique_ptr<VolumeDirectory>> VolumeDirectory::open(const std::string& path) {
    TRY_VOID(make_directories(path, parent_mode));
    TRY(Fd root, Fd::open(path, O_RDONLY | O_DIRECTORY));
    for (const char* name : {staged, removed, trashed}) {
        const Result<void> made = directory_make(root.get(), name, 0700);
        if (!made && made.error().kind() != ErrorKind::conflict) {
            return made.error();
        }
    }
    TRY(Fd bin, Fd::openat(root.get(), trashed, O_RDONLY | O_DIRECTORY));
    TRY(std::unique_ptr<TrashBin> trash, TrashBin::open(std::move(bin)));
    return std::unique_ptr<VolumeDirectory>(
        new VolumeDirectory(path, std::move(root), std::move(trash)));
}

std::string VolumeDirectory::staged_data_path(const std::string& name) const {
    return path_ + "/" + staged + "/" + name + "/_data";
}

Result<void> VolumeDirectory::stage(const std::string& name, bool ephemeral) const {
    const std::string directory = std::string(staged) + "/" + name;
    const auto fill = [&]() -> Result<void> {
        TRY_VOID(directory_make(root_.get(), directory + "/_data", data_mode));
        if (ephemeral) {
            TRY([[maybe_unused]] const Fd file,
                Fd::openat(
                    root_.get(), ephemeral_path(directory), O_WRONLY | O_CREAT | O_EXCL, 0600));
        }
        return ok;
    };
    TRY_VOID(directory_make(root_.get(), directory, parent_mode));
    Result<void> filled = fill();
    if (!filled) {
        unstage(name);
    }
    return filled;
}

Result<void> VolumeDirectory::bound(const std::string& name, std::uint64_t bytes_max) const {
    const std::vector<std::string> data{std::string(staged) + "/" + name + "/_data"};
    Result<void> set = project_quota_set(root_.get(), data, name, bytes_max);
    if (!set && set.error().kind() == ErrorKind::unsupported) {
        return Error(ErrorKind::invalid_argument, "quota size requested but no quota support");
    }
    return set;
}

Result<void> VolumeDirectory::publish(const std::string& name) const {
    return rename_new(root_.get(), std::string(staged) + "/" + name, name);
}

void VolumeDirectory::unstage(const std::string& name) const {
    const std::string directory = std::string(staged) + "/" + name;
    Result<void> gone = trash_->take(root_.get(), directory);
    if (!gone && gone.error().kind() != ErrorKind::not_found) {
        // In place: a disk that has no room for it may have none for the trash.
        gone = remove_tree(root_.get(), directory);
    }
    if (!gone && gone.error().kind() != ErrorKind::not_found) {
        LOG_WARN(
            "volume={}: throw away what was staged: {}, ignoring", name, gone.error().message());
    }
}

Result<void> VolumeDirectory::retire(const std::string& name) const {
    const Result<void> renamed = rename_new(root_.get(), name, std::string(removed) + "/" + name);
    if (!renamed && renamed.error().kind() != ErrorKind::not_found) {
        return renamed;
    }
    return ok;
}

Result<void> VolumeDirectory::restore(const std::string& name) const {
    return rename_new(root_.get(), std::string(removed) + "/" + name, name);
}

Result<void> VolumeDirectory::discard(const std::string& name) const {
    const Result<void> taken = trash_->take(root_.get(), std::string(removed) + "/" + name);
    if (!taken && taken.error().kind() != ErrorKind::not_found) {
        return taken;
    }
    return ok;
}

Result<void> VolumeDirectory::keep(const std::string& name) const {
    if (::unlinkat(root_.get(), ephemeral_path(name).c_str(), 0) != 0 && errno != ENOENT) {
        return Error::from_errno(errno, "unlinkat", ephemeral_path(name));
    }
    return ok;
}

Result<Fd> VolumeDirectory::filling_make(const std::string& name) const {
    filling_drop(name);
    TRY_VOID(directory_make(root_.get(), name + "/_filling", 0700));
    TRY_VOID(project_share(root_.get(), name + "/_data", name + "/_filling"));
    return Fd::openat(root_.get(), name + "/_filling", O_RDONLY | O_DIRECTORY);
}

Result<void> VolumeDirectory::filling_take(const std::string& name) const {
    const std::string from = name + "/_filling";
    const std::string to = name + "/_data";
    if (::renameat2(root_.get(), from.c_str(), root_.get(), to.c_str(), RENAME_EXCHANGE) != 0) {
        return Error::from_errno(errno, "renameat2", from);
    }
    filling_drop(name);  // The empty directory that was there before.
    return ok;
}

Result<void> VolumeDirectory::filling_spread(const std::string& name) const {
    TRY(const Fd from,
        Fd::openat(root_.get(), name + "/_filling", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(const Fd to, data_open(name));
    TRY(const std::vector<std::string> entries, directory_names(from.get(), "."));
    for (const std::string& entry : entries) {
        if (::renameat2(from.get(), entry.c_str(), to.get(), entry.c_str(), RENAME_NOREPLACE) !=
                0 &&
            errno != EEXIST) {
            return Error::from_errno(errno, "renameat2", entry);
        }
    }

    struct stat status {};

    if (::fstat(from.get(), &status) != 0 ||
        ::fchown(to.get(), status.st_uid, status.st_gid) != 0 ||
        ::fchmod(to.get(), status.st_mode & 07777) != 0) {
        return Error::from_errno(errno, "fchown", name);
    }
    filling_drop(name);
    return ok;
}

void VolumeDirectory::filling_drop(const std::string& name) const {
    const Result<void> taken = trash_->take(root_.get(), name + "/_filling");
    if (!taken && taken.error().kind() != ErrorKind::not_found) {
        LOG_WARN("volume={}: throw away a copy: {}, ignoring", name, taken.error().message());
    }
}

Result<bool> VolumeDirectory::is_empty(const std::string& name) const {
    TRY(const std::vector<std::string> names, directory_names(root_.get(), name + "/_data", 1));
    return names.empty();
}

Result<Fd> VolumeDirectory::data_open(const std::string& name) const {
    return Fd::openat(root_.get(), name + "/_data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// A volume whose record was committed gets its place; any other goes.
Result<void> VolumeDirectory::staged_settle(const std::set<std::string>& recorded) const {
    TRY(const std::vector<std::string> names, directory_names(root_.get(), staged));
    for (const std::string& name : names) {
        if (recorded.contains(name) && !exists(root_.get(), name)) {
            TRY_VOID(publish(name));
        } else {
            unstage(name);
        }
    }
    return ok;
}

Result<VolumesOnDisk> VolumeDirectory::reconcile(const std::set<std::string>& recorded) const {
    TRY_VOID(staged_settle(recorded));
    VolumesOnDisk found;
    TRY(found.removed, directory_names(root_.get(), removed));
    const std::set<std::string> going(found.removed.begin(), found.removed.end());
    TRY(const std::vector<std::string> names, directory_names(root_.get(), "."));
    for (const std::string& name : names) {
        if (!volume_name_check(name)) {
            continue;
        }
        filling_drop(name);
        if (recorded.contains(name)) {
            continue;
        }
        if (exists(root_.get(), ephemeral_path(name))) {
            // Its record went with the boot, as its container did.
            TRY_VOID(trash_->take(root_.get(), name));
        } else if (exists(root_.get(), name + "/_data")) {
            found.adopted.push_back(name);
        }
    }
    for (const std::string& name : recorded) {
        if (!going.contains(name) && !exists(root_.get(), name + "/_data")) {
            LOG_WARN("volume={}: its directory is gone: an empty one takes its place", name);
            if (!exists(root_.get(), name)) {
                TRY_VOID(directory_make(root_.get(), name, parent_mode));
            }
            TRY_VOID(directory_make(root_.get(), name + "/_data", data_mode));
        }
    }
    return found;
}

}  // namespace davit
