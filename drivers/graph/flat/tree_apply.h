#pragma once
/// TreeApply: one tree laid over another, in steps: a copy, or a layer's diff over those below it.
///
/// Names are walked below both roots and never through a symbolic link (openat2(2) RESOLVE_BENEATH,
/// RESOLVE_NO_SYMLINKS). Neither tree may be changed by others meanwhile. Directories are merged,
/// everything else replaces what was there.
#include <dirent.h>

#include <memory>
#include <string>
#include <vector>

#include "graph/tree_entry.h"

namespace davit {

struct TreeApplyOptions {
    TreeFiles files = TreeFiles::copy;
    /// `from` is a layer's diff: what it says of the layers below is done (graph/whiteout.h, the
    /// form on disk), and does not appear.
    bool whiteouts = false;
};

class TreeApply {
  public:
    TreeApply(Fd from, Fd to, TreeApplyOptions options)
        : from_(std::move(from)),
          to_(std::move(to)),
          options_(options),
          entries_(to_.get(), options.files) {}

    /// Look at the next entries. False once all is done.
    /// Blocks: for the disk; through offload(), one call at a time.
    Result<bool> step(std::size_t entries);

  private:
    struct Close {
        void operator()(DIR* stream) const { ::closedir(stream); }
    };

    Result<bool> open_next();
    Result<void> take(const char* name);
    Result<void> directory_take(const char* name, const struct stat& status);
    Result<void> times_set() const;

    Fd from_;
    Fd to_;
    TreeApplyOptions options_;
    TreeEntries entries_;
    /// Relative to the roots: to be visited, and those that get their times at the end.
    std::vector<std::string> waiting_{"."};
    std::vector<std::string> visited_;
    std::string path_;
    std::unique_ptr<DIR, Close> stream_;
    Fd target_;
};

}  // namespace davit
