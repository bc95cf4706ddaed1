#pragma once
/// Containers as archives: export, and commit, which makes an image of what a container changed.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/image_config.h"
#include "graph/reference.h"
#include "jobs/container/container.h"
#include "reactor/base/digest.h"
#include "reactor/task.h"

namespace davit {

class Daemon;

/// Takes the archive's next bytes; it holds the work until they are taken.
using ExportOutput = std::function<Task<void>(std::string_view bytes)>;

/// GET /containers/{id}/export: the root file system as the container sees it, without what is
/// mounted into it.
/// Errors: before the first byte those of mounting it; then what the disk says.
/// Cancel: at every point.
Task<void> container_export(Daemon& daemon,
                            std::shared_ptr<Container> container,
                            ExportOutput output);

struct CommitRequest {
    std::optional<Reference> reference;
    std::string author;
    std::string comment;
    /// Freeze the container's processes while its files are read.
    bool pause = true;
    /// Instructions for the image's config (config_change_apply()).
    std::vector<std::string> changes;
    /// The image's config; what it leaves open is the container's.
    RunConfig config;
};

/// POST /commit. Follows: Docker Engine API, operation ImageCommit.
/// Gives:  the new image's id.
/// Errors: not_found (the container's image is gone); invalid_argument (changes; a file whose name
///         a layer cannot hold); conflict (being removed); timed_out (it cannot be frozen).
/// Cancel: up to the last transaction; nothing is left behind, and nothing stays frozen.
Task<Digest> container_commit(Daemon& daemon,
                              std::shared_ptr<Container> container,
                              CommitRequest request);

/// What the config of a commit leaves open, from the container's. Follows: moby daemon/commit.go
/// merge().
void commit_config_complete(RunConfig& config, const ContainerConfig& container);

}  // namespace davit
