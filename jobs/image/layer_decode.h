#pragma once
/// LayerDecode: compressed bytes of a layer into its archive, with both digests taken on the way.
///
/// blob bytes -> digest -> inflate -> diff id. Three functions over buffers, each with state of its
/// own: each may run on a worker thread beside the others, one call of each at a time, and each
/// must get all bytes in their order. inflate() does no more than its output buffer holds, however
/// far a few bytes inflate.
#include <cstdint>
#include <span>

#include "graph/inflate.h"
#include "reactor/base/digest.h"

namespace davit {

/// What the layer's bytes must be; an empty digest is not checked, only computed.
struct LayerExpected {
    Digest blob;
    Digest diff_id;
    Compressions compressions = Compressions::layer;
};

struct LayerDecoded {
    Digest blob;
    Digest diff_id;
    std::uint64_t blob_bytes = 0;
    std::uint64_t archive_bytes = 0;  ///< Uncompressed.
};

class LayerDecode {
  public:
    explicit LayerDecode(LayerExpected expected);

    /// The next bytes of the blob, into its digest.
    void hash_blob(std::span<const std::uint8_t> bytes);

    /// As far as both go; call again until the input is used up and the output was not filled.
    /// Errors: those of Inflate. An error is final.
    Result<InflateProgress> inflate(std::span<const std::uint8_t> input,
                                    std::span<std::uint8_t> output);

    /// The next bytes of the archive, into the diff id.
    void hash_archive(std::span<const std::uint8_t> bytes);

    /// All has gone through all three. Errors: corrupt, if a digest is another than expected, or
    /// the compressed stream was cut short.
    Result<LayerDecoded> finish();

  private:
    LayerExpected expected_;
    Hasher blob_hasher_;
    Hasher diff_hasher_;
    Inflate inflate_;
    LayerDecoded decoded_;
};

}  // namespace davit
