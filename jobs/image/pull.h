#pragma once
/// Pulling an image: from a reference to a recorded image with all its layers.
#include <optional>

#include "graph/platform.h"
#include "graph/reference.h"
#include "http/registry/credentials.h"
#include "jobs/image/progress.h"
#include "reactor/task.h"

namespace davit {

class ImageService;

struct PullRequest {
    Reference reference;
    RegistryCredentials credentials;
    /// Nothing: the host's, and any single image whatever it is for.
    std::optional<Platform> platform;
};

struct PullResult {
    Digest image;
    /// What the reference stands for in the registry: an index or a manifest.
    Digest manifest;
    /// As it was completed: with a tag or a digest.
    Reference reference;
    /// False if the image was there already under this name.
    bool newer = false;
};

/// POST /images/create?fromImage=&tag=. Tells progress as API.md 2.10 has it, up to the line
/// "Status:
/// ...".
///
/// Order: HEAD if the name is known here (a pull of an image that is up to date costs no GET),
/// manifest, config, then all layers at once; image, names and layers are recorded by one
/// transaction at the end. Whatever fails before leaves nothing behind. Follows: OCI
/// distribution-spec "Pull"; Docker Engine API ImageCreate. Errors:  as registry_error(); not_found
/// (no image for the platform); corrupt (digests, sizes,
///          damaged archives); unsupported (media types); resource_exhausted (disk, limits).
/// Cancel:  up to the last transaction; layers that another pull wants as well go on for it.
Task<PullResult> image_pull(ImageService& images, PullRequest request, ProgressSink& progress);

/// POST /images/create?fromImage= without a tag: pull every tag of a repository, one after the
/// other. Tells of each what image_pull() tells, but "Status: ..." only once, for the repository.
/// Takes:  a name; a tag or digest in it is not looked at.
/// Gives:  whether any tag was newer.
/// Errors: as image_pull(), for the first tag that fails: those before it stay;
///         RegistryRepository::tags_list()'s; not_found (a repository without tags).
Task<bool> image_pull_all(ImageService& images, PullRequest request, ProgressSink& progress);

}  // namespace davit
