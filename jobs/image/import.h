#pragma once
/// Importing an image: one archive becomes its one layer.
#include <optional>
#include <string>
#include <vector>

#include "graph/platform.h"
#include "graph/reference.h"
#include "jobs/image/layer_pipeline.h"
#include "jobs/image/progress.h"

namespace davit {

class ImageService;

struct ImportRequest {
    /// The new image's name, if it gets one; with a tag, or completed by :latest.
    std::optional<Reference> reference;
    /// Instructions for its config (config_change_apply()).
    std::vector<std::string> changes;
    /// Of its history; "" is "Imported from -".
    std::string message;
    /// Nothing: the host's.
    std::optional<Platform> platform;
};

/// POST /images/create?fromSrc=-. Takes: an archive, plain or compressed by gzip or zstd.
/// Gives:  the image's id, which is also the last progress message.
/// Errors: invalid_argument (changes, a digest as name); corrupt (the archive); resource_exhausted.
/// Cancel: up to the last transaction; nothing is left behind.
Task<Digest> image_import(ImageService& images,
                          ImportRequest request,
                          LayerSource& archive,
                          ProgressSink& progress);

}  // namespace davit
