#pragma once
/// Loading images: an archive, as `save` of any engine writes it, into images.
///
/// The archive is read once, as it comes, whatever its order: what looks like a layer is unpacked
/// into a staged layer at once, small files are kept in memory, and only when all has been seen do
/// the documents among them say which layers belong to which image. What no image wants is thrown
/// away. So nothing is spooled to disk, and memory has a bound.
#include <optional>
#include <vector>

#include "graph/platform.h"
#include "graph/reference.h"
#include "jobs/image/layer_pipeline.h"
#include "jobs/image/progress.h"

namespace davit {

class ImageService;

/// Files of an archive that are no layers: configs, manifests, and what Docker keeps for old
/// readers.
inline constexpr std::size_t load_documents_bytes_max = 64 * 1024 * 1024;
/// Members of an archive: a few per layer and image.
inline constexpr std::uint64_t load_entries_max = 100'000;
/// Layers of one archive: each is a directory and a lease while it is loaded.
inline constexpr std::size_t load_layers_max = 2000;

struct LoadedImage {
    Digest image;
    std::vector<Reference> names;
};

struct LoadOptions {
    /// Do not tell how far each layer is.
    bool quiet = false;
    std::optional<Platform> platform;
};

/// POST /images/load. Tells "Loading layer" of each layer, and "Loaded image: X" of each name.
///
/// Takes:  an archive, plain, gzip or zstd: Docker's own form or an OCI image layout; its layers
///         plain, gzip or zstd. platform: load only what is for it; nothing: of an index what is
///         for the host, and else everything.
/// Errors: invalid_argument (the archive, with what is wrong in it); not_found (nothing for the
///         platform); resource_exhausted; unsupported (xz, bzip2).
/// Cancel: up to the last transaction. On an error nothing of the archive is left behind.
Task<std::vector<LoadedImage>> image_load(ImageService& images,
                                          LayerSource& archive,
                                          LoadOptions options,
                                          ProgressSink& progress);

}  // namespace davit
