#pragma once
/// TrashBin: a directory whose entries are on their way out.
///
/// Throwing away is one rename on the same file system. Deleting is the bin's own, background work:
/// a slice of one entry at a time on the worker pool, so that removing many images or containers
/// holds neither the loop nor the other users of the pool.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

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

    /// Move path (of from_dir) into the trash. Errors: not_found.
    Result<void> take(int from_dir, const std::string& path);

    /// Delete until cancelled; run it in the engine's group.
    /// Cancel: between two slices; what is left is deleted by the next run().
    Task<void> run();

    /// Wait until nothing is left. Errors: cancelled. Only while run() runs.
    Task<void> drained();

    /// Delete everything now. Blocks: as long as that takes.
    Result<void> empty_now();

  private:
    TrashBin(Fd dir, Dissolve dissolve) : dir_(std::move(dir)), dissolve_(std::move(dissolve)) {}

    Task<void> entry_delete(std::string name);
    Result<TreeRemove> removal_begin(const std::string& name) const;

    Fd dir_;
    Dissolve dissolve_;
    std::uint64_t sequence_ = 0;
    AsyncEvent wanted_;
    AsyncEvent idle_;
};

}  // namespace davit
