#pragma once
/// What Docker gives a container that asks for nothing special: mounts, devices, masks.
///
/// Follows: moby daemon/pkg/oci/defaults.go; OCI runtime-spec config-linux.md "Default Devices".
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "libcontainer/spec.h"

namespace davit {

inline constexpr std::uint64_t shm_bytes_default = 64ULL * 1024 * 1024;

/// Hidden from a container that is not privileged.
std::span<const std::string_view> masked_paths_default();

/// Read-only in a container that is not privileged.
std::span<const std::string_view> readonly_paths_default();

struct DefaultsRequest {
    /// Everything writable, nothing masked, all capabilities, no device filter, no seccomp.
    bool privileged = false;
    /// systempaths=unconfined: nothing masked or read-only, the rest as usual.
    bool system_paths_unconfined = false;
    std::uint64_t shm_bytes = shm_bytes_default;
    /// Which namespaces are shared decides about /dev/shm.
    Namespaces namespaces = {};
    /// Capabilities after CapAdd and CapDrop; the seccomp profile follows them.
    std::optional<CapabilitySet> capabilities = {};
    /// seccomp=unconfined.
    bool seccomp_unconfined = false;
};

/// A spec with everything but the id, the hostname, the process and what the user adds (append to
/// its lists). For an ipc namespace that is shared the caller passes /dev/shm as a further mount;
/// /dev/mqueue shows whatever namespace the container is in. Errors: unsupported, internal
/// (seccomp).
Result<ContainerSpec> container_spec_default(const DefaultsRequest& request);

/// Docker's device rules, for Resources::device_rules.
std::vector<DeviceRule> device_rules_default();

}  // namespace davit
