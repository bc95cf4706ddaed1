#pragma once
/// Which manifest a push is to end with, and what its layers' blobs are.
#include <optional>
#include <string>
#include <vector>

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "graph/manifest.h"
#include "jobs/image/push_source.h"

namespace davit {

/// All that a push needs to know of an image: read at once, so that it may be removed meanwhile.
struct PushImage {
    Digest id;
    std::string config_bytes;
    ImageConfig config;
    /// As it was pulled, if it was: what is pushed if every layer keeps its first form.
    std::optional<StoredManifest> manifest;
    /// The manifest's layers, or empty.
    std::vector<LayerBlob> manifest_blobs;
    /// The config's media type in the manifest.
    std::string config_media_type;
    /// Lowest first, one for each diff id.
    std::vector<PushLayer> layers;
};

/// Errors: not_found (no such image).
Result<PushImage> push_image_read(const ReadTxn& txn, const Digest& id);

/// A manifest for the config and these blobs: Docker's, or OCI's where Docker's has no name for a
/// layer's compression. Errors: unsupported, for a blob whose media type is no layer's.
Result<StoredManifest> push_manifest_make(const PushImage& image,
                                          const std::vector<LayerBlob>& blobs);

}  // namespace davit
