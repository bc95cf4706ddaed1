#pragma once
/// Removing all images that nobody uses.
#include <functional>
#include <string>
#include <vector>

#include "graph/image_config.h"
#include "graph/image_remove.h"
#include "reactor/task.h"

namespace davit {

class ImageService;

struct ImagePrune {
    /// Images without a tag only; else all that no container is made from.
    bool dangling_only = true;
    /// Which images may go at all.
    std::function<bool(const ImageConfig& config)> admits;
    /// Who uses images, asked anew before each removal.
    std::function<Result<ImageRemove>()> request;
};

struct ImagesPruned {
    /// In the order in which they went.
    std::vector<ImageRemoved::Entry> entries;
    /// Of the layers that went with them.
    std::uint64_t bytes = 0;
};

/// POST /images/prune. Images that something needs (containers, images built on them) stay; layers
/// of unfinished pulls go (graph/layer_unfinished.h).
/// Follows: Docker Engine API, operation ImagePrune.
/// Cancel:  between two images; those that went are gone.
Task<ImagesPruned> image_prune(ImageService& images, ImagePrune prune);

}  // namespace davit
