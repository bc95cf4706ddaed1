#pragma once
/// What a container gets from its request, its image and Docker's defaults together.
#include <string>
#include <vector>

#include "graph/image_config.h"
#include "jobs/container/mount_points.h"
#include "jobs/container/name_generator.h"
#include "jobs/container/record.h"

namespace davit {

/// What of the host decides about a container's configuration.
struct HostFacts {
    std::string hostname;  ///< What a container on the host's network or UTS namespace is called.
    int cpu_count = 0;     ///< 0: nobody knows, so requests for more are not refused here.
    MountLookups mounts = {};
    bool pure_v2 = false;  ///< cgroup v2 and no other hierarchy.
};

/// Complete record.config from the image, choose the program, resolve the mounts, check everything.
/// record.id must be set (the default hostname comes from it).
/// Follows: Docker's daemon/commit.go merge(), daemon/container.go verifyContainerSettings().
/// Gives:  warnings for the client, appended.
/// Errors: invalid_argument ("no command specified", "Duplicate mount point: /x", ...);
/// unsupported.
Result<void> container_merge(ContainerRecord& record,
                             const RunConfig& image,
                             std::vector<std::string>& warnings,
                             const HostFacts& host = {});

/// What the program gets to see: PATH, HOSTNAME, TERM and those of its links, then the configured
/// variables in place of or after them; an entry without "=" takes its variable away. Follows:
/// Docker's container.CreateDaemonEnvironment().
std::vector<std::string> container_environment(const ContainerConfig& config,
                                               const std::vector<std::string>& of_links = {});

/// Put "NAME=value" in the place of the variable of that name, or after all others; "NAME" takes it
/// away.
void env_set(std::vector<std::string>& env, const std::string& entry);

}  // namespace davit
