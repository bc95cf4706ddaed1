#pragma once
/// LayerUnpack: the CPU half of a layer's pipeline, from compressed bytes to a written layer.
///
/// blob bytes -> digest -> inflate -> diff id -> the driver's LayerWriter. Runs on a worker thread,
/// one call at a time, and touches nothing that the loop can see meanwhile. Holds one buffer of
/// inflated bytes, whatever the layer's size and however far it inflates.
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "drivers/graph/driver.h"
#include "graph/inflate.h"
#include "reactor/base/digest.h"

namespace davit {

/// What the layer's bytes must be; an empty digest is not checked, only computed.
struct LayerExpected {
    Digest blob;
    Digest diff_id;
};

struct LayerUnpacked {
    Digest blob;
    Digest diff_id;
    std::uint64_t blob_bytes = 0;
    std::uint64_t archive_bytes = 0;  ///< Uncompressed.
    LayerContents contents;
};

class LayerUnpack {
  public:
    LayerUnpack(std::unique_ptr<LayerWriter> writer, LayerExpected expected);

    /// The next bytes of the blob, cut anywhere.
    /// Errors: those of Inflate and LayerWriter; cancelled after cancel(). An error is final.
    Result<void> feed(std::span<const std::uint8_t> bytes);

    /// The blob is complete. Errors: corrupt, if a digest is another than expected.
    Result<LayerUnpacked> finish();

    /// From the loop: a running feed() should end soon.
    void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

    /// Give the writer up. On a worker: it may wait for the disk.
    void abandon() { writer_.reset(); }

  private:
    Result<void> write(std::span<const std::uint8_t> archive);

    LayerExpected expected_;
    Hasher blob_hasher_;
    Hasher diff_hasher_;
    Inflate inflate_;
    std::vector<std::uint8_t> inflated_;
    std::uint64_t blob_bytes_ = 0;
    std::uint64_t archive_bytes_ = 0;
    std::unique_ptr<LayerWriter> writer_;
    std::atomic<bool> cancelled_ = false;
};

}  // namespace davit
