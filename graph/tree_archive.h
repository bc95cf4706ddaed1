#pragma once
/// TreeArchive: a directory tree as an archive, slice by slice: the layer of what a container
/// changed (commit), or a whole root file system (export).
///
/// Names are sorted, so an unchanged tree always gives the same bytes. What overlayfs keeps of a
/// removal (a character device 0/0, an opaque directory) becomes `.wh.` names again, if asked for:
/// unpacked as a layer the archive makes the same tree. Other file systems below the root are
/// entered nowhere; their mount points are empty directories or files, as on disk.
///
/// The tree may change meanwhile: what is gone when its turn comes is left out, a file that shrinks
/// is filled up with zeros. Every name is opened below the root without following any link. Holds
/// no object of the engine: calls may run on a worker thread, one at a time.
#include <cstdint>
#include <memory>
#include <span>

#include "reactor/base/fd.h"
#include "reactor/base/result.h"

namespace davit {

enum class TreeForm : std::uint8_t {
    layer,  ///< The tree is an overlay's upper directory: removals become whiteouts.
    files,  ///< Everything as it is.
};

class TreeArchive {
  public:
    /// root: the tree's top, which is no member itself.
    TreeArchive(Fd root, TreeForm form);
    TreeArchive(TreeArchive&&) noexcept;
    TreeArchive& operator=(TreeArchive&&) noexcept;
    ~TreeArchive();

    /// The next bytes; 0 at the end.
    /// Errors: invalid_argument (a name that a layer cannot have: `.wh.`, too long); what the
    ///         system calls say. An error is final.
    /// Blocks: for the disk. Call through offload().
    Result<std::size_t> read(std::span<std::uint8_t> out);

  private:
    struct State;

    std::unique_ptr<State> state_;
};

}  // namespace davit
