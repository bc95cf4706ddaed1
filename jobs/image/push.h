#pragma once
/// Pushing an image: from a name here to a manifest in a registry.
#include <optional>

#include "graph/platform.h"
#include "graph/reference.h"
#include "http/registry/credentials.h"
#include "jobs/image/progress.h"
#include "reactor/task.h"

namespace davit {

class ImageService;

struct PushRequest {
    /// With a tag, or a name alone: every tag that it has here.
    Reference reference;
    RegistryCredentials credentials;
    /// Nothing: whatever the image is for.
    std::optional<Platform> platform;
    /// The whole index that the image was pulled by, with the images of all platforms and what else
    /// it names (push_index.h), not this image alone. Not with a platform.
    bool all_platforms = false;
};

/// POST /images/{name}/push. Tells progress as API.md 2.10 has it, under the layers' short diff
/// ids.
///
/// Layers, then the config, then the manifest, which is sent byte for byte as it was pulled if all
/// its blobs got there unchanged: the image then has the same digest in both registries. Else one
/// is made. How a layer gets there: push_source.h. With all platforms the index itself:
/// push_index.h.
///
/// Follows: OCI distribution-spec "Push"; Docker Engine API ImagePush.
/// Errors:  invalid_argument (a digest; a platform and all platforms); not_found (no such name or
/// tag
///          here); as blob_upload(), as registry_error(), as push_index().
/// Cancel:  at every point; blobs that got there stay for the registry's garbage collection.
Task<void> image_push(ImageService& images, PushRequest request, ProgressSink& progress);

}  // namespace davit
