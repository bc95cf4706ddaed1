// Layers with hard links to files of the layers below them.
#include <algorithm>

#include "drivers/graph/links_below.h"
#include "jobs/image/layer_pool.h"
#include "reactor/offload.h"

namespace davit {

Result<void> layers_stack(std::span<const Digest> diff_ids, std::span<const LayerHandle> layers) {
    const std::vector<LayerPlace> places = layer_places(diff_ids);
    for (const LayerHandle& layer : layers) {
        if (layer->recorded || layer->unpacked.contents.links_below.empty()) {
            continue;
        }
        const auto place = std::ranges::find(places, layer->place.diff_id, &LayerPlace::diff_id);
        if (place == places.end()) {
            continue;
        }
        if (!layer->below.empty() && layer->place.chain_id != place->chain_id) {
            return Error(ErrorKind::unsupported,
                         "layer " + layer->place.diff_id.str() +
                             " has hard links to files below it, and lies on different layers");
        }
        layer->place = *place;
        layer->below.assign(places.begin(), place);
    }
    return ok;
}

Task<std::vector<std::string>> LayerPool::below_find(const PooledLayer& layer,
                                                     std::span<const LayerHandle> layers) {
    std::vector<std::string> cache_ids;
    for (const LayerPlace& place : layer.below) {
        const auto here = std::ranges::find_if(layers, [&place](const LayerHandle& other) {
            return other->place.diff_id == place.diff_id;
        });
        if (here != layers.end()) {
            cache_ids.push_back((*here)->cache_id);
            continue;
        }
        const auto find = [&place](const ReadTxn& txn) { return layer_find(txn, place); };
        CO_TRY(const std::optional<LayerRecord> found, db_.view(find));
        if (!found) {
            co_return Error(ErrorKind::not_found, "layer " + place.diff_id.str() + " is not here");
        }
        cache_ids.push_back(found->cache_id);
    }
    co_return std::move(cache_ids);
}

Task<void> LayerPool::links_make(LayerHandle layer, std::span<const LayerHandle> layers) {
    LayerContents& contents = layer->unpacked.contents;
    if (layer->below.empty()) {
        const LinkBelow& first = contents.links_below.front();
        co_return Error(ErrorKind::corrupt,
                        "hard link to " + first.target + ": no such file in this layer")
            .context("extract", first.path);
    }
    RootfsSpec spec;
    CO_TRY(spec.layers, co_await below_find(*layer, layers));
    CO_TRY(Fd below, co_await rootfs_mount(driver_, std::move(spec)));
    CO_TRY(LayerFiles files, driver_.layer_open(layer->cache_id));
    auto make = [below = std::move(below), files = std::move(files), &contents] {
        return links_below_make(below.get(), files.root.get(), contents.links_below);
    };
    auto making = offload_bulk(std::move(make));
    CO_TRY(const std::uint64_t bytes, co_await making);
    contents.bytes += bytes;
    co_return ok;
}

}  // namespace davit
