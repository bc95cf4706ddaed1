#pragma once
/// LayerExtract: an archive from a stranger, onto the disk, below one directory and nowhere else.
///
/// Feed it the uncompressed bytes in any slices. Every name is cleaned, every parent is opened with
/// RESOLVE_IN_ROOT below the layer's root, and every file is made by its last component in such a
/// parent: `..`, absolute names and symbolic links of the archive itself lead nowhere else.
///
/// The rules are those of Docker's extractor: a later entry replaces an earlier one of the same
/// name (directories merge), missing parents are made (0755, root), owners come before modes and
/// attributes, directories get their times, modes and attributes when all is done. On any error
/// nothing more is written; the caller removes the directory. Nothing is synced: the caller calls
/// syncfs(2) once before it makes the layer visible.
///
/// No object of the engine is touched, so calls may run on a worker thread, one at a time. Threads
/// of its own help with the files; outside of a call none of them has anything to do.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/layer_extract_tree.h"
#include "graph/layer_recipe.h"
#include "reactor/base/fd.h"
#include "reactor/base/limits.h"
#include "reactor/base/result.h"

namespace davit {

/// What becomes of `.wh.` names.
enum class WhiteoutForm : std::uint8_t {
    overlay,  ///< Character devices 0/0 and overlay_opaque_xattr().
    literal,  ///< Files like any other (docker cp).
};

/// Into a directory of a tree that lives, instead of a layer's own (docker cp): the names that its
/// links mean are the tree's, mounts are crossed, and what is mounted is not replaced. Whoever else
/// is in the tree may change it meanwhile: nothing is ever touched outside of it.
struct ExtractInto : ExtractSurroundings {
    /// Refuse to put a file where a directory is, or a directory where something else is.
    bool directories_stay = false;
    /// Stands in the place of each name's first component, if set: "b/x" for "a/x", "./x", "/x".
    std::string first_name;
    /// Whose everything becomes, whatever the archive says: user and group.
    std::optional<std::pair<std::uint32_t, std::uint32_t>> owner;
};

struct LayerExtractOptions {
    WhiteoutForm whiteouts = WhiteoutForm::overlay;
    std::uint64_t entries_max = limits::layer_entries_max;
    std::uint64_t bytes_max = limits::layer_bytes_max;
    /// Null: a layer. Else with whiteouts literal; what the archive says of the directory itself is
    /// left alone.
    std::shared_ptr<const ExtractInto> into;
    /// Threads that write files beside the caller's, at most; by the processors if not given.
    std::optional<unsigned> helpers;
};

/// A hard link to a file that is not in the layer itself, so must be in one below. Both paths are
/// from the layer's root; the link's is without symbolic links.
struct LinkBelow {
    std::string path;
    std::string target;
};

struct LayerExtractResult {
    std::uint64_t entries = 0;  ///< Applied, directories made for missing parents included.
    std::uint64_t bytes = 0;    ///< Of file data; holes do not count.
    std::uint64_t whiteouts = 0;
    std::uint64_t xattrs_dropped = 0;  ///< Not allowed in a layer, or not known to the file system.
    std::vector<LinkBelow> links_below;  ///< Not made: the layer does not know those below it.
};

class LayerExtract {
  public:
    /// root is the layer's directory, open for reading.
    static Result<LayerExtract> open(Fd root, LayerExtractOptions options = {});
    LayerExtract(LayerExtract&&) noexcept;
    LayerExtract& operator=(LayerExtract&&) noexcept;

    /// Ends the helpers.
    ~LayerExtract();

    /// Have everything kept that it takes to make the archive again, until finish(). Before the
    /// first bytes.
    void record(std::unique_ptr<LayerRecipeWriter> recipe);

    /// Apply the next bytes of the archive.
    /// Errors: corrupt (malformed, climbs out, a link to a directory, a file as a parent);
    ///         resource_exhausted (disk, quota or a limit); whatever the system calls say; each
    ///         names the entry. An error is final.
    /// Takes:  beside: work that a helper does meanwhile, or who is free first. It has run when
    ///         the call returns, also with an error.
    /// Blocks: for the disk. Call through offload().
    Result<void> feed(std::span<const std::uint8_t> bytes,
                      const std::function<void()>& beside = {});

    /// There are no more bytes: finishes the directories.
    Result<LayerExtractResult> finish();

    /// How many helpers have had work so far.
    unsigned helpers_started() const;

  private:
    struct State;

    explicit LayerExtract(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace davit
