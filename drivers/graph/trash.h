#pragma once
/// TrashBin: a directory whose entries are on their way out.
///
/// Throwing away is one rename on the same file system. Deleting is the bin's own, background work:
/// a slice of one entry at a time on the worker pool, so that removing many images or containers
/// holds neither the loop nor the other users of the pool.
///
/// A rename may need space, of which a full disk has none: such an entry is deleted where it lies.
/// If the daemon ends before that, it is what nobody knows, and goes at the next start.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "reactor/async_event.h"
#include "reactor/base/fd.h"
#include "reactor/base/tree_remove.h"
#include "reactor/task.h"

namespace davit {

class TrashBin {
  public:
    /// Run before an entry is deleted file by file, on a worker: takes away what goes faster
    /// otherwise, or does not go by unlink(2) at all (subvolumes).
    using Dissolve = std::function<Result<void>(int dir, const std::string& name)>;

    /// dir is the trash itself. What lies in it from an earlier life is deleted, too.
    static Result<std::unique_ptr<TrashBin>> open(Fd dir, Dissolve dissolve = nullptr);

    /// Move path into the trash, or have it deleted in its place where there is no space for that:
    /// the name must not be used again before it is gone. Takes: from_dir, which outlives the bin's
    /// work; path, which tells entries apart. Errors: not_found; what renameat2(2) gives.
    Result<void> take(int from_dir, const std::string& path);

    /// It was taken, and is being deleted where it lies.
    bool is_leaving(const std::string& path) const { return in_place_.contains(path); }

    /// Delete until cancelled; run it in the engine's group.
    /// Cancel: between two slices; what is left is deleted by the next run().
    Task<void> run();

    /// Wait until nothing is left. Errors: cancelled. Only while run() runs.
    Task<void> drained();

    /// Delete everything now. Blocks: as long as that takes.
    Result<void> empty_now();

  private:
    TrashBin(Fd dir, Dissolve dissolve) : dir_(std::move(dir)), dissolve_(std::move(dissolve)) {}

    /// Of the trash, and what is deleted in its place. Errors: cancelled.
    Task<void> all_delete(std::vector<std::string> names);
    Task<void> entry_delete(int dir, std::string path);
    Result<TreeRemove> removal_begin(int dir, const std::string& path) const;

    Fd dir_;
    Dissolve dissolve_;
    std::uint64_t sequence_ = 0;
    std::map<std::string, int> in_place_;  // The directory that the path is below.
    std::set<std::string> stuck_;          // Could not be deleted: not again before the next start.
    AsyncEvent wanted_;
    AsyncEvent idle_;
};

}  // namespace davit
