#pragma once
/// TreeChanges: what was changed in a copy of a tree, as a layer's diff in overlayfs' form.
///
/// What differs in type, owner, mode, size, time of change, target, device or extended attributes
/// was changed; contents are not compared, so a file written with its size and time kept passes for
/// unchanged (as in Docker's drivers without a union file system). The copy may be changed
/// meanwhile by its container, in any way it likes: nothing is followed out of it, and what
/// vanishes is not there.
#include <dirent.h>

#include <memory>
#include <string>
#include <vector>

#include "graph/tree_entry.h"

namespace davit {

class TreeChanges {
  public:
    /// Takes: the tree as it was; the changed copy; an empty directory for the diff.
    TreeChanges(Fd before, Fd after, Fd diff, TreeFiles files)
        : before_(std::move(before)),
          after_(std::move(after)),
          diff_(std::move(diff)),
          entries_(diff_.get(), files) {}

    /// Look at the next entries. False once all is done.
    /// Blocks: for the disk; through offload(), one call at a time.
    Result<bool> step(std::size_t entries);

  private:
    struct Close {
        void operator()(DIR* stream) const { ::closedir(stream); }
    };

    Result<bool> open_next();
    Result<void> take(const char* name);
    Result<void> removed_mark();
    Result<Fd> parent_make(const std::string& path);
    Result<void> directory_make(const std::string& path);

    Fd before_;
    Fd after_;
    Fd diff_;
    TreeEntries entries_;
    std::vector<std::string> waiting_{"."};
    std::string path_;
    std::unique_ptr<DIR, Close> stream_;
    /// The same directory before; none if there was none.
    Fd old_;
    /// Directories of the diff, which get their times at the end.
    std::vector<std::string> made_;
};

}  // namespace davit
