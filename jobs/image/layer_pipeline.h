#pragma once
/// layer_pipeline: one layer from its source into a staged layer of the driver, in bounded memory.
///
/// Four coroutines, one per stage, that hand a fixed set of buffers on: the source (the network),
/// the blob's digest, inflate (LayerDecode), the driver's LayerWriter with the archive's digest
/// beside it. All but the first do their work on worker threads, so that all four work at the same
/// time, and the slowest one holds the others.
#include <functional>
#include <memory>
#include <span>

#include "drivers/graph/driver.h"
#include "jobs/image/layer_decode.h"
#include "reactor/task.h"

namespace davit {

/// Where a layer's compressed bytes come from.
class LayerSource {
  public:
    LayerSource() = default;
    LayerSource(const LayerSource&) = delete;
    LayerSource& operator=(const LayerSource&) = delete;
    virtual ~LayerSource() = default;

    /// At least one byte into buffer; 0 at the end.
    virtual Task<std::size_t> read(std::span<char> buffer) = 0;

    /// The bytes came in several transfers: if they are wrong, another try may be right.
    virtual bool resumed() const { return false; }

    /// End what goes on in the background; nothing is read afterwards. Never fails.
    virtual Task<void> close() { co_return ok; }
};

/// How far a layer is. Calls come from the loop, for every buffer.
struct LayerWatcher {
    std::function<void(std::uint64_t bytes)> received;  ///< From the source, in total.
    std::function<void()> received_all;
    std::function<void(std::uint64_t bytes)> unpacked;  ///< Of the compressed bytes, in total.
};

struct LayerUnpacked {
    LayerDecoded decoded;
    LayerContents contents;
};

struct LayerPipelineRequest {
    std::unique_ptr<LayerWriter> writer;
    LayerExpected expected;
    /// Of the blob, if known (0: not): small layers take small buffers.
    std::uint64_t blob_bytes = 0;
    LayerWatcher watcher;
};

/// Gives:  what came in, both digests verified; the writer has finished and is gone.
/// Errors: the source's; those of LayerDecode and LayerWriter. The staged layer is then the
/// caller's
///         to drop.
/// Cancel: at every point; a running worker call is waited for.
Task<LayerUnpacked> layer_pipeline(LayerSource& source, LayerPipelineRequest request);

}  // namespace davit
