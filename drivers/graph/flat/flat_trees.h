#pragma once
/// FlatTrees: how a file system makes and copies whole trees. Called on worker threads, for
/// several trees at a time: it holds no state that changes.
#include <string>

#include "graph/tree_entry.h"

namespace davit {

class FlatTrees {
  public:
    FlatTrees() = default;
    FlatTrees(const FlatTrees&) = delete;
    FlatTrees& operator=(const FlatTrees&) = delete;
    virtual ~FlatTrees() = default;

    /// An empty tree, mode 0755. path: below dir; nothing is there.
    virtual Result<void> make(int dir, const std::string& path) const = 0;

    /// A writable copy of a whole tree at once. False, with nothing made: it has to be copied file
    /// by file into an empty tree.
    virtual Result<bool> snapshot(int dir,
                                  const std::string& from,
                                  const std::string& to) const = 0;

    /// How files get from a layer's diff into a tree that nobody writes to.
    virtual TreeFiles files() const = 0;
};

}  // namespace davit
