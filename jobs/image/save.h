#pragma once
/// Saving images: one archive that is an OCI image layout and Docker's own form at once.
///
/// Follows: Docker Engine API ImageGet and ImageGetAll; OCI image-spec image-layout.md; what Docker
/// 25 and later write (blobs by digest, layers uncompressed, manifest.json beside index.json).
///
/// The same images under the same names give the same bytes: entries are sorted, belong to root and
/// are of 1970.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/platform.h"
#include "reactor/task.h"

namespace davit {

class ImageService;

/// Takes the archive's next bytes; it holds the work until they are taken.
using SaveOutput = std::function<Task<void>(std::string_view bytes)>;

struct SaveRequest {
    /// Ids, references, or repositories: those stand for all their tags.
    std::vector<std::string> names;
    /// What every image of them must be for.
    std::optional<Platform> platform;
};

/// GET /images/get?names=.
/// Errors: not_found "No such image: X", or one for another platform; unsupported (a layer that
/// cannot be packed): both before
///         the first byte; corrupt (a layer was changed on disk).
/// Cancel: at every point.
Task<void> image_save(ImageService& images, SaveRequest request, SaveOutput output);

}  // namespace davit
