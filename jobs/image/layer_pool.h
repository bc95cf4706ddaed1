#pragma once
/// LayerPool: the layers that image work is bringing in, each once, however many want it.
///
/// A layer that two pulls want is downloaded and unpacked by one flight, which both watch; it runs
/// as long as anybody wants it. What comes out is a LayerHandle: unpacked, verified, still staged.
/// The first pull that ends well publishes it (renamed, then recorded in the graph) in the same
/// transaction as its image. What cannot be had again is written to disk before that
/// (LayerSyncing). Whoever drops the last handle of a layer that was never published has it thrown
/// away.
///
/// In the graph every flight has a lease, which holds its layer until the last handle is gone:
/// nobody can remove it between two pulls' commits.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/graph/driver.h"
#include "graph/layer_store.h"
#include "jobs/image/layer_pipeline.h"
#include "jobs/image/layer_sync.h"
#include "jobs/image/progress.h"
#include "reactor/async_event.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"

namespace davit {

class GraphWriter;
class LayerPool;
struct LayerFlight;

/// A layer on disk that no image needs to hold yet. Made and dropped on the loop.
class PooledLayer {
  public:
    explicit PooledLayer(LayerPool& pool) : pool_(&pool) {}

    PooledLayer(const PooledLayer&) = delete;
    PooledLayer& operator=(const PooledLayer&) = delete;
    ~PooledLayer();

    LayerPlace place;
    LayerUnpacked unpacked;
    std::string blob_media_type;
    /// Where it is; after publishing, another pull's directory may have won.
    std::string cache_id;
    std::string lease;
    /// Until it is published.
    std::optional<StagedLayer> staged;
    /// Set by layers_stack(), for a layer with links to files below: what it lies on, lowest first.
    std::vector<LayerPlace> below;
    /// The graph has it (also if it always had).
    bool recorded = false;
    /// The graph always had it.
    bool found = false;

  private:
    LayerPool* pool_;
};

using LayerHandle = std::shared_ptr<PooledLayer>;

/// Tell layers with hard links to files below them what they lie on: such a layer is this image's
/// own. Takes: the image's diff ids, lowest first; those of its layers that are to be published.
/// Errors: unsupported (it lies on other layers in an image that is published with this one).
Result<void> layers_stack(std::span<const Digest> diff_ids, std::span<const LayerHandle> layers);

struct LayerWanted {
    LayerPlace place;
    Digest blob;
    std::string blob_media_type;
    std::uint64_t blob_bytes = 0;
    /// Publish it as soon as it is here, for a later pull if this one fails: others of its image
    /// are still missing.
    bool keep_early = false;
    /// Makes a source from the beginning. May be called after its pull has gone: it owns what it
    /// needs.
    std::function<std::unique_ptr<LayerSource>()> open;
};

/// When published layers are written to disk.
enum class LayerSyncing : std::uint8_t {
    before,  ///< Before they are recorded: a power cut takes nothing that was answered for.
    after,   ///< After LayerSync::soon(): a power cut until then takes the image, which can be
             ///< pulled again.
};

class LayerPool {
  public:
    LayerPool(GraphDb& db, GraphWriter& graph, GraphDriver& driver, Semaphore& downloads)
        : db_(db),
          graph_(graph),
          driver_(driver),
          downloads_(downloads),
          sync_(db, graph, driver) {}

    LayerPool(const LayerPool&) = delete;
    LayerPool& operator=(const LayerPool&) = delete;

    /// Bring in a layer, or join who does so already. Tells progress, under the blob's short
    /// digest, each step from "Pulling fs layer" to "Pull complete" or "Already exists". Errors:
    /// those of layer_pipeline(). Cancel: the flight goes on if others want it.
    Task<LayerHandle> acquire(LayerWanted wanted, ProgressSink& progress);

    /// Unpack a layer whose digests nobody knows beforehand (import, load).
    Task<LayerHandle> unpack(LayerSource& source, LayerExpected expected, LayerWatcher watcher);

    /// Run commit with every layer in place: rename them, and record them in commit's own
    /// transaction, before it. One caller at a time. With LayerSyncing::before also layers that
    /// were found here are on disk then.
    /// Takes: commit(WriteTxn&), which may run more than once and must not be a coroutine.
    Task<void> publish(std::vector<LayerHandle> layers,
                       LayerSyncing syncing,
                       std::function<Result<void>(WriteTxn&)> commit);

    LayerSync& sync() { return sync_; }

    /// Remove directories that the graph calls `deleting`, and forget them there.
    Task<void> directories_delete(std::vector<std::string> cache_ids);

    /// End a lease, and the staged layer of that name ("" for none). If that fails (the disk is
    /// full, say) it is owed, and tried again with the next update that succeeds.
    Task<void> give_back(std::string lease, std::string staged_cache_id = {});

    /// Try again what is owed; after an update that succeeded.
    Task<void> owed_give_back();

    /// Leases that could not be ended yet.
    std::size_t owed() const { return owed_.size(); }

    /// Cancel all flights and wait for all clean-up. Handles must be gone.
    Task<void> close();

    std::size_t flights() const { return flights_.size(); }

    /// Set whenever layers were published that were not there before; whoever waits resets it.
    AsyncEvent& published() { return published_; }

  private:
    friend class PooledLayer;

    Task<LayerHandle> wait(std::shared_ptr<LayerFlight> flight, ProgressSink& progress);
    Task<void> fly(std::shared_ptr<LayerFlight> flight);
    Task<LayerHandle> bring(LayerFlight& flight);
    Task<LayerHandle> stage(LayerPlace place, bool take_existing);
    Task<void> fill(LayerHandle layer,
                    LayerSource& source,
                    LayerExpected expected,
                    std::uint64_t blob_bytes,
                    LayerWatcher watcher);
    void dropped(PooledLayer& layer);
    /// Write to disk what is not there yet, and rename. Gives: the cache ids of layers recorded
    /// before that are on disk now.
    Task<std::vector<std::string>> place(std::vector<LayerHandle> layers, LayerSyncing syncing);
    /// Make a renamed layer's hard links to files below it. Takes: what is published with it.
    Task<void> links_make(LayerHandle layer, std::span<const LayerHandle> layers);
    /// The layer's directories below it, lowest first.
    Task<std::vector<std::string>> below_find(const PooledLayer& layer,
                                              std::span<const LayerHandle> layers);
    /// Gives: whether it is ended; if not, it is owed.
    Task<bool> lease_end(std::string lease, std::string staged_cache_id);

    struct Owed {
        std::string lease;
        std::string staged_cache_id;
    };

    GraphDb& db_;
    GraphWriter& graph_;
    GraphDriver& driver_;
    Semaphore& downloads_;
    /// Taken before downloads_, and held for longer. Imports go without: a slow client must not
    /// hold up pulls.
    Semaphore unpacking_{limits::layers_unpacking_max};
    LayerSync sync_;
    AsyncMutex publishing_;
    AsyncEvent published_;
    std::map<Digest, std::shared_ptr<LayerFlight>> flights_;  ///< By diff id.
    std::vector<Owed> owed_;
    TaskGroup tasks_{GroupPolicy::independent};
};

}  // namespace davit
