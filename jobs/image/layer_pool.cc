#include "jobs/image/layer_pool.h"

#include <algorithm>

#include "graph/graph_writer.h"
#include "graph/layer_unfinished.h"
#include "jobs/image/layer_flight.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

PooledLayer::~PooledLayer() {
    pool_->dropped(*this);
}

Task<LayerHandle> LayerPool::acquire(LayerWanted wanted, ProgressSink& progress) {
    const Digest key = wanted.place.diff_id;
    for (;;) {
        std::shared_ptr<LayerFlight>& place = flights_[key];
        const bool joined = place != nullptr;
        if (!joined) {
            place = std::make_shared<LayerFlight>(wanted, wanted.blob.short_hex());
        }
        std::shared_ptr<LayerFlight> flight = place;  // The map changes while we wait.
        ++flight->interested;
        flight->progress.watch(progress);
        if (!joined) {
            tasks_.spawn(fly(flight));
        }
        Result<LayerHandle> layer = co_await wait(flight, progress);
        const bool is_anothers = layer && (*layer)->place.chain_id != wanted.place.chain_id &&
                                 !(*layer)->unpacked.contents.links_below.empty();
        if (joined && is_anothers) {
            continue;  // It is made for other layers below it.
        }
        // Somebody else's registry or credentials may have failed where ours do not.
        if (layer || !joined || layer.error().kind() == ErrorKind::cancelled) {
            co_return std::move(layer);
        }
    }
}

Task<LayerHandle> LayerPool::wait(std::shared_ptr<LayerFlight> flight, ProgressSink& progress) {
    Result<void> waited = co_await flight->done.wait();
    flight->progress.unwatch(progress);
    if (--flight->interested == 0 && !flight->outcome) {
        // Out of the map at once: whoever comes now must not join what is being cancelled.
        flights_.erase(flight->wanted.place.diff_id);
        flight->scope.cancel();
    }
    if (!waited) {
        co_return std::move(waited).error();
    }
    co_return *flight->outcome;
}

Task<void> LayerPool::fly(std::shared_ptr<LayerFlight> flight) {
    // Close() cancels our own scope, the last one interested the flight's.
    CancelSubscription closing;
    CancelScope* own = co_await current_scope();
    if (own != nullptr && own->cancelled()) {
        flight->scope.cancel();
    } else {
        closing.arm(
            own,
            [](void* scope) noexcept { static_cast<CancelScope*>(scope)->cancel(); },
            &flight->scope);
    }
    Result<LayerHandle> layer = co_await bring(*flight).under(&flight->scope);
    closing.disarm();
    const auto place = flights_.find(flight->wanted.place.diff_id);
    if (place != flights_.end() && place->second == flight) {
        flights_.erase(place);
    }
    if (layer) {
        flight->progress.step((*layer)->found ? "Already exists" : "Pull complete");
    }
    if (flight->interested > 0) {
        flight->outcome.emplace(std::move(layer));
    }
    flight->done.set();
    co_return ok;
}

Task<LayerHandle> LayerPool::bring(LayerFlight& flight) {
    const LayerWanted& wanted = flight.wanted;
    LayerProgress& progress = flight.progress;
    progress.step("Pulling fs layer");
    if (unpacking_.free() == 0 || downloads_.free() == 0) {
        progress.step("Waiting");
    }
    const LayerExpected expected{wanted.blob, wanted.place.diff_id, Compressions::layer};
    // Before a download's turn, which the next layer takes as soon as this one has all its bytes:
    // so it is what bounds the memory of all layers together.
    CO_TRY(const Semaphore::Permit room, co_await unpacking_.acquire());
    for (bool again = false;; again = true) {
        CO_TRY(Semaphore::Permit turn, co_await downloads_.acquire());
        CO_TRY(LayerHandle layer, co_await stage(wanted.place, true));
        layer->blob_media_type = wanted.blob_media_type;
        if (layer->recorded) {
            co_return std::move(layer);
        }
        bool downloading = true;
        LayerWatcher watcher;
        watcher.received = [&progress](std::uint64_t bytes) {
            progress.count("Downloading", bytes);
        };
        watcher.received_all = [&progress, &turn, &downloading] {
            progress.step("Verifying Checksum");
            progress.step("Download complete");
            downloading = false;
            turn.reset();
        };
        watcher.unpacked = [&progress, &downloading](std::uint64_t bytes) {
            if (!downloading) {
                progress.count("Extracting", bytes);
            }
        };
        std::unique_ptr<LayerSource> source = wanted.open();
        Result<void> filled =
            co_await fill(layer, *source, expected, wanted.blob_bytes, std::move(watcher));
        static_cast<void>(co_await shielded(source->close()));
        if (filled) {
            if (wanted.keep_early && !sync_.boot().empty() &&
                layer->unpacked.contents.links_below.empty()) {
                auto keep = [place = wanted.place](WriteTxn& txn) {
                    return layer_unfinished_put(txn, place);
                };
                std::vector<LayerHandle> alone{layer};
                CO_CHECK(co_await publish(std::move(alone), LayerSyncing::after, std::move(keep)));
            }
            co_return std::move(layer);
        }
        // A transfer that was resumed may have mixed two states of the blob: from the beginning.
        if (again || filled.error().kind() != ErrorKind::corrupt || !source->resumed()) {
            co_return std::move(filled).error();
        }
    }
}

Task<LayerHandle> LayerPool::unpack(LayerSource& source,
                                    LayerExpected expected,
                                    LayerWatcher watcher) {
    LayerPlace nowhere;
    CO_TRY(LayerHandle layer, co_await stage(std::move(nowhere), false));
    CO_CHECK(co_await fill(layer, source, std::move(expected), 0, std::move(watcher)));
    layer->place.diff_id = layer->unpacked.decoded.diff_id;
    layer->place.chain_id = layer->unpacked.decoded.diff_id;
    co_return std::move(layer);
}

Task<LayerHandle> LayerPool::stage(LayerPlace place, bool take_existing) {
    struct Begun {
        std::string lease;
        std::string cache_id;
        std::optional<LayerRecord> existing;
    };

    auto begin = [place, take_existing](WriteTxn& txn) -> Result<Begun> {
        Begun begun;
        TRY(begun.lease, lease_create(txn));
        if (take_existing) {
            TRY(begun.existing, lease_hold(txn, begun.lease, place));
        }
        if (!begun.existing) {
            TRY(begun.cache_id, layer_stage(txn));
        }
        return begun;
    };
    // The record is the intent: from here on a crash leaves a directory that the next start knows.
    CO_TRY(Begun begun, co_await graph_.update(std::move(begin)));
    LayerHandle layer = std::make_shared<PooledLayer>(*this);
    layer->place = std::move(place);
    layer->lease = std::move(begun.lease);
    layer->recorded = begun.existing.has_value();
    if (begun.existing) {
        layer->cache_id = begun.existing->cache_id;
        layer->found = true;
        co_return std::move(layer);
    }
    layer->cache_id = std::move(begun.cache_id);
    // Not on the loop: making a name may have to wait for the file system's journal.
    auto make = [driver = &driver_, cache_id = layer->cache_id] {
        return driver->layer_stage(cache_id);
    };
    CO_TRY(StagedLayer staged, co_await offload_bulk(std::move(make)));
    layer->staged.emplace(std::move(staged));
    co_return std::move(layer);
}

Task<void> LayerPool::fill(LayerHandle layer,
                           LayerSource& source,
                           LayerExpected expected,
                           std::uint64_t blob_bytes,
                           LayerWatcher watcher) {
    LayerPipelineRequest request;
    request.writer = std::move(layer->staged->writer);
    request.expected = std::move(expected);
    request.blob_bytes = blob_bytes;
    request.watcher = std::move(watcher);
    CO_TRY(layer->unpacked, co_await layer_pipeline(source, std::move(request)));
    co_return ok;
}

Task<std::vector<std::string>> LayerPool::place(std::vector<LayerHandle> layers,
                                                LayerSyncing syncing) {
    std::vector<std::string> synced;
    const auto is_new = [](const LayerHandle& layer) { return !layer->recorded; };
    bool write = false;
    if (syncing == LayerSyncing::before) {
        CO_TRY(synced, sync_.due());
        write = !synced.empty() || std::any_of(layers.begin(), layers.end(), is_new);
    }
    if (write) {
        // Before any record: what the graph says is there must be there after a power cut, too.
        auto sync = [driver = &driver_] { return driver->sync(); };
        CO_CHECK(co_await offload_bulk(std::move(sync)));
    }
    std::vector<PooledLayer*> staged;
    for (const LayerHandle& layer : layers) {
        // An image may have the same one twice.
        if (layer->staged && std::ranges::find(staged, layer.get()) == staged.end()) {
            staged.push_back(layer.get());
        }
    }
    std::size_t renamed_count = 0;
    auto rename = [driver = &driver_, &staged, &renamed_count]() -> Result<void> {
        for (PooledLayer* const layer : staged) {
            TRY_VOID(driver->layer_publish(*layer->staged));
            ++renamed_count;
        }
        return ok;
    };
    auto renaming = offload_bulk(std::move(rename));
    const Result<void> renamed = co_await renaming;
    for (std::size_t i = 0; i < renamed_count; ++i) {
        staged[i]->staged.reset();
    }
    CO_CHECK(renamed);
    bool linked = false;
    for (const LayerHandle& layer : layers) {
        if (!layer->recorded && !layer->unpacked.contents.links_below.empty()) {
            CO_CHECK(co_await links_make(layer, layers));
            linked = true;
        }
    }
    if (write && linked) {
        auto sync = [driver = &driver_] { return driver->sync(); };
        CO_CHECK(co_await offload_bulk(std::move(sync)));
    }
    if (write) {
        auto sync = [driver = &driver_] { return driver->sync_names(); };
        CO_CHECK(co_await offload_bulk(std::move(sync)));
    }
    co_return std::move(synced);
}

Task<void> LayerPool::publish(std::vector<LayerHandle> layers,
                              LayerSyncing syncing,
                              std::function<Result<void>(WriteTxn&)> commit) {
    CO_TRY(const Semaphore::Permit turn, co_await publishing_.lock());
    if (sync_.boot().empty()) {
        syncing = LayerSyncing::before;
    }
    CO_TRY(std::vector<std::string> synced, co_await place(layers, syncing));
    const std::string unsynced_boot = syncing == LayerSyncing::after ? sync_.boot() : "";
    auto records = std::make_shared<std::vector<LayerRecord>>();
    auto update =
        [layers, records, unsynced_boot, synced = std::move(synced), commit = std::move(commit)](
            WriteTxn& txn) -> Result<void> {
        records->assign(layers.size(), LayerRecord{});  // It may be run again.
        TRY_VOID(layers_synced(txn, synced));
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const PooledLayer& layer = *layers[i];
            if (layer.recorded) {
                continue;
            }
            LayerPublish publish;
            publish.cache_id = layer.cache_id;
            publish.lease = layer.lease;
            publish.place = layer.place;
            publish.depends_on_parent = !layer.unpacked.contents.links_below.empty();
            publish.unpacked_bytes = layer.unpacked.contents.bytes;
            publish.created = wall_now();
            publish.unsynced_boot = unsynced_boot;
            if (!layer.unpacked.decoded.blob.empty()) {
                publish.blob = LayerBlob{layer.unpacked.decoded.blob,
                                         layer.blob_media_type,
                                         layer.unpacked.decoded.blob_bytes};
            }
            TRY((*records)[i], layer_publish(txn, publish));
        }
        return commit(txn);
    };
    CO_CHECK(co_await graph_.update(std::move(update)));
    if (!owed_.empty()) {
        tasks_.spawn(shielded(owed_give_back()));
    }
    bool added = false;
    std::vector<std::string> beaten;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        PooledLayer& layer = *layers[i];
        if (!layer.recorded && (*records)[i].cache_id != layer.cache_id) {
            beaten.push_back(std::exchange(layer.cache_id, (*records)[i].cache_id));
        }
        added = added || !layer.recorded;
        layer.recorded = true;
    }
    if (!beaten.empty()) {
        tasks_.spawn(shielded(directories_delete(std::move(beaten))));
    }
    if (added) {
        published_.set();
    }
    co_return ok;
}

void LayerPool::dropped(PooledLayer& layer) {
    const bool published = !layer.staged.has_value();
    std::string unwanted;
    if (!layer.recorded) {
        if (published && !layer.cache_id.empty()) {
            // Renamed, and then the commit failed. The record says `staged`: the next start would
            // find it, if this fails.
            (void)driver_.layer_remove(layer.cache_id).has_value();
        }
        unwanted = layer.cache_id;
    }
    layer.staged.reset();  // Throws the directory away if it is still there.
    tasks_.spawn(shielded(give_back(std::move(layer.lease), std::move(unwanted))));
}

Task<void> LayerPool::give_back(std::string lease, std::string staged_cache_id) {
    CO_TRY(const bool ended, co_await lease_end(std::move(lease), std::move(staged_cache_id)));
    if (ended) {
        CO_CHECK(co_await owed_give_back());
    }
    co_return ok;
}

Task<void> LayerPool::owed_give_back() {
    std::vector<Owed> owed = std::exchange(owed_, {});
    for (Owed& one : owed) {
        CO_CHECK(co_await lease_end(std::move(one.lease), std::move(one.staged_cache_id)));
    }
    co_return ok;
}

Task<bool> LayerPool::lease_end(std::string lease, std::string staged_cache_id) {
    auto update = [lease,
                   staged = staged_cache_id](WriteTxn& txn) -> Result<std::vector<std::string>> {
        if (!staged.empty()) {
            TRY_VOID(layer_discard(txn, staged));
            TRY_VOID(layer_forget(txn, staged));
        }
        return lease_release(txn, lease);
    };
    Result<std::vector<std::string>> unneeded = co_await graph_.update(std::move(update));
    if (!unneeded) {
        LOG_WARN("layers: give back a lease: {}, ignoring", unneeded.error().message());
        if (unneeded.error().kind() == ErrorKind::not_found) {
            co_return true;
        }
        // Until then nobody could remove its layers. The next start would end it, too.
        owed_.push_back(Owed{std::move(lease), std::move(staged_cache_id)});
        co_return false;
    }
    CO_CHECK(co_await directories_delete(*std::move(unneeded)));
    co_return true;
}

Task<void> LayerPool::directories_delete(std::vector<std::string> cache_ids) {
    if (cache_ids.empty()) {
        co_return ok;
    }
    std::vector<std::string> gone;
    for (std::string& cache_id : cache_ids) {
        Result<void> removed = driver_.layer_remove(cache_id);
        if (removed || removed.error().kind() == ErrorKind::not_found) {
            gone.push_back(std::move(cache_id));
        } else {
            LOG_WARN("layers: remove {}: {}, ignoring", cache_id, removed.error().message());
        }
    }
    auto forget = [gone = std::move(gone)](WriteTxn& txn) -> Result<void> {
        for (const std::string& cache_id : gone) {
            TRY_VOID(layer_forget(txn, cache_id));
        }
        return ok;
    };
    Result<void> forgotten = co_await graph_.update(std::move(forget));
    if (!forgotten) {
        LOG_WARN("layers: forget removed ones: {}, ignoring", forgotten.error().message());
    }
    co_return ok;
}

Task<void> LayerPool::close() {
    for (const auto& [diff_id, flight] : flights_) {
        flight->scope.cancel();
    }
    Result<void> joined = co_await tasks_.join();
    CO_CHECK(co_await sync_.close());
    co_return std::move(joined);
}

}  // namespace davit
