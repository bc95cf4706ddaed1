#pragma once
/// TreeSize: the bytes of the files below a directory, as Docker counts a container's layer.
///
/// The tree may be changed by its container meanwhile, in any way it likes: nothing is followed out
/// of it, and what vanishes is not counted. Directories count nothing, a file with several names
/// counts once. What lies deeper than PATH_MAX is not seen.
#include <dirent.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/fd.h"
#include "reactor/task.h"

namespace davit {

/// For ?size=1.
struct ContainerSize {
    std::uint64_t writable = 0;  // Of the container's own layer.
    std::uint64_t root = 0;      // Of the whole file system.
};

class TreeSize {
  public:
    explicit TreeSize(Fd root) : root_(std::move(root)) {}

    /// Look at the next entries. False once all were seen.
    /// Blocks: for the disk; through offload(), one call at a time.
    /// Limits: tree_entries_max entries in all, then resource_exhausted.
    Result<bool> step(std::size_t entries);

    std::uint64_t bytes() const { return bytes_; }

  private:
    struct Close {
        void operator()(DIR* stream) const { ::closedir(stream); }
    };

    /// False if no directory is left.
    Result<bool> open_next();
    void add(const char* name);

    Fd root_;
    /// Relative to root, to be visited.
    std::vector<std::string> waiting_{"."};
    std::string path_;
    std::unique_ptr<DIR, Close> stream_;
    std::set<std::pair<dev_t, ino_t>> linked_;
    std::uint64_t bytes_ = 0;
    std::size_t seen_ = 0;
};

/// Against a container that makes files faster than they can be counted, and for the memory of
/// those with several names.
inline constexpr std::size_t tree_entries_max = 20'000'000;

/// All of it, in slices on the worker pool. Errors: as step(). Cancel: between two slices.
Task<std::uint64_t> tree_bytes(Fd root);

}  // namespace davit
