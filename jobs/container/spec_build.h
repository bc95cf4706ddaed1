#pragma once
/// From a record to what the kernel is told: the spec and the limits.
#include <sys/resource.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/container/devices.h"
#include "jobs/container/record.h"
#include "libcontainer/seccomp.h"
#include "libcontainer/spec.h"
#include "libcontainer/user.h"

#include "runtime/seccomp_profile.h"

namespace davit {

/// What is known only when the container starts.
struct SpecInputs {
    ResolvedUser user;
    CgroupPlacement cgroup;
    /// Limit of descriptors where the user gives none: the daemon's own is higher than it was
    /// started with.
    std::optional<rlimit> descriptors = {};
    /// A network namespace is given at launch; made for this container alone, or another's.
    bool joins_network = false;
    bool own_network = false;
    /// The ipc and pid namespaces of other containers are given at launch; then also their /dev/shm
    /// and /proc as prepared mounts, unless the container has mounts of its own there.
    bool joins_ipc = false;
    bool joins_pid = false;
    /// Variables that tell of linked containers.
    std::vector<std::string> link_environment = {};
    /// Where hosts, hostname and resolv.conf are; "": the container's own.
    std::string files_directory = {};
    /// The map of the user namespace that is given at launch; none: the daemon's.
    IdMap ids = {};
    /// Volumes that are not the daemon's own files, but something of the host's: like binds they
    /// keep its ids.
    std::set<std::string> volumes_unmapped = {};
    /// Those of container_devices(), which resources_build() looks at, too.
    ContainerDevices devices = {};
    /// What a container that does not say gets: with an init, or without.
    bool init_default = false;
    /// What seccomp_wanted() says, compiled; nothing: Docker's own profile, if the container does
    /// not say that it wants none.
    std::optional<SeccompFilter> seccomp = {};
};

/// Its first process is docker-init, and the user's command a child of that. Not where the pid
/// namespace has a first process already. Follows: moby daemon/oci_linux.go withCommonOptions().
bool container_has_init(const HostConfig& host, bool init_default);

/// Which profile a container asks for: seccomp_builtin, seccomp_unconfined or JSON. The last
/// SecurityOpt "seccomp=" counts; without one a privileged container has none, any other the
/// daemon's.
/// Gives: a view into host, or fallback.
/// Follows: moby daemon/seccomp_linux.go WithSeccomp().
std::string_view seccomp_wanted(const HostConfig& host,
                                std::string_view fallback = seccomp_builtin);

/// What the container may have. Errors: invalid_argument (an unknown name).
Result<CapabilitySet> container_capabilities(const HostConfig& host);

/// Whether the user has a mount at this path.
bool record_mounts_at(const ContainerRecord& record, std::string_view target);

/// The prepared mounts of the spec are /proc, /dev/shm and the volumes, in this order.
/// Errors: invalid_argument (a sysctl that is not namespaced, a bad tmpfs option); unsupported.
Result<ContainerSpec> spec_build(const ContainerRecord& record, const SpecInputs& inputs);

/// The limits that were asked for; nothing else is written to the cgroups.
Resources resources_build(const ContainerRecord& record, const ContainerDevices& devices = {});

/// What an update writes to the cgroups of a running container.
/// Takes:  record: with the update in it already.
Resources resources_of_update(const ContainerRecord& record, const HostConfig& update);

}  // namespace davit
