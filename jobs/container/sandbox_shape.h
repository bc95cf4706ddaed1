#pragma once
/// SandboxShape: what of a container decides about its sandbox (libcontainer/launch_plan.h). Two
/// containers of one shape have the same sandbox, whatever their images and commands are.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobs/container/record.h"
#include "jobs/container/spec_build.h"

namespace davit {

struct SandboxShape {
    bool host_uts = false;
    bool shm = true;
    std::int64_t shm_bytes = 0;
    std::map<std::string, std::string> sysctls = {};
    std::optional<std::vector<std::string>> masked_paths = {};
    std::optional<std::vector<std::string>> readonly_paths = {};
    std::string cgroup_parent = {};
    /// A place in it is made with the sandbox; none: its namespace has lo alone.
    std::optional<NetworkId> network = {};

    bool operator==(const SandboxShape&) const = default;

    /// A record of this shape that asks for nothing else; the id and the cgroup are the caller's.
    ContainerRecord record() const;
};

/// The shape of a container whose configuration is complete (host_config_complete()); nothing for
/// one whose sandbox cannot be made ahead: it shares namespaces, has devices or masked paths of its
/// own, or needs cgroups that others do without. Its network is the caller's to fill in.
std::optional<SandboxShape> sandbox_shape(const HostConfig& host);

/// Whether a container with such a shape can have a sandbox that was made ahead: none of its mounts
/// is where the sandbox has its own.
bool sandbox_allows(const ContainerRecord& record);

}  // namespace davit
