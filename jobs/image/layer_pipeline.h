#pragma once
/// layer_pipeline: one layer from its source into a staged layer of the driver, in bounded memory.
///
/// Two coroutines with a fixed set of buffers between them: one fills from the source (the
/// network), one hands full buffers to LayerUnpack on a worker thread. So the network and the CPU
/// work at the same time, and the slower one holds the other.
#include <functional>
#include <memory>
#include <span>

#include "jobs/image/layer_unpack.h"
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
};

/// How far a layer is. Calls come from the loop, for every buffer.
struct LayerWatcher {
    std::function<void(std::uint64_t bytes)> received;  ///< From the source, in total.
    std::function<void()> received_all;
    std::function<void(std::uint64_t bytes)> unpacked;  ///< Of the compressed bytes, in total.
};

/// Takes: a fresh LayerUnpack, and the size of the blob if known (0: not).
/// Errors: the source's; those of LayerUnpack. The staged layer is then the caller's to drop.
/// Cancel: at every point; a running worker call is waited for.
Task<LayerUnpacked> layer_pipeline(LayerSource& source,
                                   std::shared_ptr<LayerUnpack> unpack,
                                   std::uint64_t blob_bytes,
                                   LayerWatcher watcher);

}  // namespace davit
