#pragma once
/// LayerArchive: the archive that a layer was made from, again, byte for byte.
///
/// Reads the layer's recipe (layer_recipe.h) and the files it refers to, slice by slice. What comes
/// out is hashed on the way: the last slice is only given if all of it is what the layer is named
/// by. Holds no object of the engine: calls may run on a worker thread, one at a time.
#include <cstdint>
#include <memory>
#include <span>

#include "graph/layer_recipe.h"
#include "reactor/base/digest.h"
#include "reactor/base/fd.h"
#include "reactor/base/result.h"

namespace davit {

/// A layer on disk, open for reading.
struct LayerFiles {
    Fd root;       ///< Its directory of files.
    Fd directory;  ///< Where its recipe is.
};

class LayerArchive {
  public:
    /// Takes:  the digest that the archive must have.
    /// Errors: unsupported (a layer without a recipe, as earlier versions unpacked it); corrupt.
    /// Blocks: two or three small reads.
    static Result<LayerArchive> open(LayerFiles files, Digest diff_id);
    LayerArchive(LayerArchive&&) noexcept;
    LayerArchive& operator=(LayerArchive&&) noexcept;
    ~LayerArchive();

    /// Of the whole archive.
    std::uint64_t bytes() const;

    /// As many of the next bytes as there is room for; 0 at the end.
    /// Errors: corrupt, naming the layer: a file is gone or is not what it was. An error is final.
    /// Blocks: for the disk. Call through offload().
    Result<std::size_t> read(std::span<std::uint8_t> out);

  private:
    struct State;

    explicit LayerArchive(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace davit
