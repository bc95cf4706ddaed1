#pragma once
/// Where a layer can be had from: repositories with a blob that unpacks to it.
///
/// Only the unpacked layer is kept here. A push of a pulled image needs the very bytes that the
/// registry has, or the manifest, and with it the image's digest, would change; so a pull notes
/// where they are. The notes go with the layer.
#include <string>
#include <vector>

#include "graph/layer_store.h"

namespace davit {

/// Of one layer: enough for the registries of a company and its mirrors.
inline constexpr std::size_t layer_origins_max = 16;

struct LayerOrigin {
    LayerBlob blob;
    /// "docker.io"
    std::string domain;
    /// "library/alpine"
    std::string path;

    bool operator==(const LayerOrigin& other) const {
        return blob.digest == other.blob.digest && domain == other.domain && path == other.path;
    }
};

/// The newest first. Empty for a layer that never came from or went to a registry.
Result<std::vector<LayerOrigin>> layer_origins(const ReadTxn& txn, const Digest& diff_id);

/// Note an origin as the newest; the oldest beyond layer_origins_max is forgotten. Nothing happens
/// if there is no layer at this place.
Result<void> layer_origin_add(WriteTxn& txn, const LayerPlace& place, const LayerOrigin& origin);

/// The layer is gone.
Result<void> layer_origins_erase(WriteTxn& txn, const Digest& diff_id);

/// What is wrong with the stored origins, in words: some without a layer.
Result<std::vector<std::string>> layer_origins_check(const ReadTxn& txn);

}  // namespace davit
