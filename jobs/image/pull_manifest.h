#pragma once
/// From a reference to the one image that suits: manifests, indexes and the config, all verified.
#include <vector>

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "graph/manifest.h"
#include "http/registry/registry_client.h"
#include "jobs/image/pull.h"

namespace davit {

struct ResolvedImage {
    /// The digest that the reference stands for.
    Digest root;
    ImageManifest manifest;
    /// From the root down to the manifest, byte for byte.
    std::vector<StoredManifest> documents;
    std::string config_bytes;
    ImageConfig config;
    Digest image;  ///< The config's digest.
};

/// Takes: reference, a tag or digest for the registry; wanted, the platform for indexes.
/// Errors: as registry_error(); not_found (no image for the platform); corrupt, unsupported.
Task<ResolvedImage> manifest_resolve(RegistryRepository& repository,
                                     std::string reference,
                                     Platform wanted);

}  // namespace davit
