#pragma once
/// VolumeDirectory: where volumes lie on disk.
///
///   NAME/_data       what is in the volume
///   NAME/ephemeral   an empty file: the volume goes with a container started with --rm
///   NAME/_filling    a copy of an image's directory that is not in its place yet
///   .staged/NAME     a volume whose record is not committed yet
///   .removed/NAME    a volume whose record is not erased yet
///   .trash/          what is being deleted
///
/// A volume is made by stage(), the commit of its record, publish(); it is removed by retire(), the
/// erasing of its record, discard(). So after a crash the record alone decides (reconcile()).
/// Unlike layers, a directory that nobody knows is kept: it is somebody's data, and not to be had
/// again.
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "drivers/graph/trash.h"
#include "reactor/base/fd.h"

namespace davit {

/// What reconcile() found.
struct VolumesOnDisk {
    /// Removals that were begun: their records are to be erased, then discard() is due.
    std::vector<std::string> removed;
    /// Directories without a record, now to have one.
    std::vector<std::string> adopted;
};

class VolumeDirectory {
  public:
    /// Make what is missing. Blocks: a few system calls.
    static Result<std::unique_ptr<VolumeDirectory>> open(const std::string& path);

    /// "<root>/NAME/_data": the Mountpoint that clients see.
    std::string data_path(const std::string& name) const { return path_ + "/" + name + "/_data"; }

    /// Where the data of a staged volume are.
    std::string staged_data_path(const std::string& name) const;

    // Of the following, those that touch more than a few directories say so.

    /// Errors: conflict (something of this name is there).
    Result<void> stage(const std::string& name, bool ephemeral) const;
    /// Bound the bytes in a staged volume. Errors: invalid_argument, in Docker's words, where the
    /// file system has no quotas for that.
    Result<void> bound(const std::string& name, std::uint64_t bytes_max) const;
    Result<void> publish(const std::string& name) const;
    void unstage(const std::string& name) const;

    /// Errors: conflict (EBUSY: something is mounted inside). What is not there is fine.
    Result<void> retire(const std::string& name) const;

    /// Back to its place: its record could not be erased.
    Result<void> restore(const std::string& name) const;

    /// Into the trash with what was retired. What is not there is fine.
    Result<void> discard(const std::string& name) const;

    /// It no longer goes with its container.
    Result<void> keep(const std::string& name) const;

    /// An empty directory beside the data, to be filled; filling_take() puts it in their place.
    Result<Fd> filling_make(const std::string& name) const;
    Result<void> filling_take(const std::string& name) const;
    /// Move what is in it among the data, where nothing of that name is; for data that are in use,
    /// and may be changed by others at any time.
    Result<void> filling_spread(const std::string& name) const;
    void filling_drop(const std::string& name) const;

    /// Whether the data are an empty directory. Errors: not_found.
    Result<bool> is_empty(const std::string& name) const;

    /// The data. Errors: not_found.
    Result<Fd> data_open(const std::string& name) const;

    /// Make the disk agree with the records as far as that can be done without changing records.
    /// Takes: the names that have one. Blocks: in the number of volumes.
    Result<VolumesOnDisk> reconcile(const std::set<std::string>& recorded) const;

    TrashBin& trash() const { return *trash_; }

  private:
    VolumeDirectory(std::string path, Fd root, std::unique_ptr<TrashBin> trash)
        : path_(std::move(path)), root_(std::move(root)), trash_(std::move(trash)) {}

    Result<void> staged_settle(const std::set<std::string>& recorded) const;

    std::string path_;
    Fd root_;
    std::unique_ptr<TrashBin> trash_;
};

}  // namespace davit
