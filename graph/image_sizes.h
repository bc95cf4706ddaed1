#pragma once
/// How much of the disk each image needs for itself.
///
/// A layer is shared if more than one image has it; it lies on disk once, however many have it and
/// at whatever height. Sizes are sums of the files' sizes, as the layers' records have them.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/layer_store.h"

namespace davit {

struct ImageLayer {
    std::string cache_id;
    Digest diff_id;
    std::uint64_t bytes = 0;
    /// Images that have it, once each.
    std::vector<Digest> images;

    bool is_shared() const { return images.size() > 1; }
};

struct ImageSizes {
    /// Lowest first.
    std::vector<ImageLayer> layers;
    /// Of the layers that other images have, too, and of the others.
    std::uint64_t shared = 0;
    std::uint64_t unique = 0;
};

struct GraphSizes {
    std::map<Digest, ImageSizes> images;
    /// Every layer that is there, once.
    std::uint64_t layers = 0;
};

/// Blocks: some microseconds per layer of each image.
Result<GraphSizes> graph_sizes(const ReadTxn& txn);

}  // namespace davit
