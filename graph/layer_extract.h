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
/// No object of the engine is touched, so calls may run on a worker thread, one at a time. A loop
/// may also drive it: feed_some() when ring_fd() is readable.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "graph/layer_extract_tree.h"
#include "graph/layer_recipe.h"
#include "reactor/base/fd.h"
#include "reactor/base/limits.h"
#include "reactor/base/result.h"

namespace davit {

/// Who creates the small files, which is nearly all of the work.
///
/// Measured with 60,000 files of 0.7 to 14 KB (two cores, ext4 in a loop-mounted file, medians):
/// sync 1.72 s with 1.74 s of CPU, uring 1.58 s with 2.5 s of CPU, since its workers contend for
/// the directories' locks; with the cores busy sync is 20 % faster, and in a pull they are busy.
/// tar -x takes 2.2 to 2.9 s.
enum class ExtractBackend : std::uint8_t {
    automatic,  ///< sync.
    sync,       ///< One system call after the other.
    uring,      ///< Linked io_uring chains (open, write, close), run by the kernel's workers. Into
                ///< a root that is not empty the files go as with sync.
};

/// What becomes of `.wh.` names.
enum class WhiteoutForm : std::uint8_t {
    overlay,  ///< Character devices 0/0 and trusted.overlay.opaque.
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
    ExtractBackend backend = ExtractBackend::automatic;
    WhiteoutForm whiteouts = WhiteoutForm::overlay;
    std::uint64_t entries_max = limits::layer_entries_max;
    std::uint64_t bytes_max = limits::layer_bytes_max;
    /// Null: a layer. Else with whiteouts literal and the sync backend; what the archive says of
    /// the directory itself is left alone.
    std::shared_ptr<const ExtractInto> into;
};

struct LayerExtractResult {
    std::uint64_t entries = 0;  ///< Applied, directories made for missing parents included.
    std::uint64_t bytes = 0;    ///< Of file data; holes do not count.
    std::uint64_t whiteouts = 0;
    std::uint64_t xattrs_dropped = 0;  ///< Not allowed in a layer, or not known to the file system.
};

class LayerExtract {
  public:
    /// root is the layer's directory, open for reading.
    /// Errors: unsupported or permission_denied if uring was asked for and cannot be had.
    static Result<LayerExtract> open(Fd root, LayerExtractOptions options = {});
    LayerExtract(LayerExtract&&) noexcept;
    LayerExtract& operator=(LayerExtract&&) noexcept;

    /// Waits for what the kernel still does. Blocks: as long as a few hundred small writes.
    ~LayerExtract();

    /// Have everything kept that it takes to make the archive again, until finish(). Before the
    /// first bytes, and only with the sync backend: with the other the disk lags behind.
    void record(std::unique_ptr<LayerRecipeWriter> recipe);

    /// Apply the next bytes of the archive.
    /// Errors: corrupt (malformed, climbs out, a hard link without target, a file as a parent);
    ///         resource_exhausted (disk, quota or a limit); whatever the system calls say; each
    ///         names the entry. An error is final.
    /// Blocks: for the disk. Call through offload().
    Result<void> feed(std::span<const std::uint8_t> bytes);

    /// As feed(), but returns early rather than wait for a file in flight.
    /// Gives:  how many bytes were taken; call again with the rest when ring_fd() is readable.
    Result<std::size_t> feed_some(std::span<const std::uint8_t> bytes);

    /// There are no more bytes: waits for all files and finishes the directories.
    Result<LayerExtractResult> finish();

    /// The backend in use: sync or uring.
    ExtractBackend backend() const;

    /// To be polled for reading; -1 with the sync backend, which never returns early.
    int ring_fd() const;

  private:
    struct State;

    explicit LayerExtract(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace davit
