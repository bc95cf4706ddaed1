#pragma once
/// TreeArchive: a directory tree as an archive, slice by slice: the layer of what a container
/// changed (commit), a whole root file system (export), or a part of one (docker cp).
///
/// Names are sorted, so an unchanged tree always gives the same bytes. What overlayfs keeps of a
/// removal (a character device 0/0, an opaque directory) becomes `.wh.` names again, if asked for:
/// unpacked as a layer the archive makes the same tree. Other file systems below the root are
/// entered only if asked for; else their mount points are empty directories or files, as on disk.
///
/// The tree may change meanwhile, and whoever changes it may mean harm: what is gone when its turn
/// comes is left out, a file that shrinks is filled up with zeros. Every name is opened below the
/// root without following any link, and only what is a regular file by then is opened for reading.
/// Holds no object of the engine: calls may run on a worker thread, one at a time.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "reactor/base/fd.h"
#include "reactor/base/id_map.h"
#include "reactor/base/result.h"

namespace davit {

enum class TreeForm : std::uint8_t {
    layer,  ///< The tree is an overlay's upper directory: removals become whiteouts.
    files,  ///< Everything as it is.
};

struct TreeArchiveOptions {
    TreeForm form = TreeForm::files;
    /// Enter what is mounted below the root, unless its files are the kernel's (procfs, /dev, ...).
    bool mounts = false;
    /// The root is a member itself, under this name, which stands before all others; "" is "/".
    /// Unset: it is no member.
    std::optional<std::string> top;
    /// Nothing but this one of the root's names, as a member called top or, without that, by its
    /// own name. Empty: all.
    std::string only;
    /// The tree is that of a user namespace: members have the ids that its processes see.
    IdMap ids = {};
};

class TreeArchive {
  public:
    /// root: the tree's top.
    TreeArchive(Fd root, TreeArchiveOptions options);

    TreeArchive(Fd root, TreeForm form)
        : TreeArchive(std::move(root), TreeArchiveOptions{.form = form, .top = {}, .only = {}}) {}

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
