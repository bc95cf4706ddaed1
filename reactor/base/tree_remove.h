#pragma once
/// TreeRemove: rm -rf in slices, for trees that nobody vouches for.
///
/// Depth and width have no bound, memory, stack and descriptors have: no recursion, and a directory
/// found too deep is moved up to the top instead of being entered where it is. Symbolic links are
/// never followed and mounts never entered.
#include <cstdint>
#include <memory>
#include <string>

#include "reactor/base/fd.h"
#include "reactor/base/result.h"

namespace davit {

class TreeRemove {
  public:
    /// Remove `name`, one component, below parent. Something missing, or no directory, is fine.
    TreeRemove(Fd parent, std::string name);
    TreeRemove(TreeRemove&&) noexcept;
    TreeRemove& operator=(TreeRemove&&) noexcept;
    ~TreeRemove();

    /// Remove up to entries_max more entries. Gives: whether all of it is gone.
    /// Errors: conflict (EBUSY) where something is mounted inside; any of openat2(2), unlinkat(2),
    ///         renameat2(2). What was not reached yet stays; another TreeRemove may try again.
    /// Blocks: as long as that many unlinks take.
    Result<bool> step(std::uint64_t entries_max);

    /// Entries removed so far.
    std::uint64_t removed() const;

  private:
    struct State;

    std::unique_ptr<State> state_;
};

}  // namespace davit
