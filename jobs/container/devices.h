#pragma once
/// The devices of the host that a container is given, and limits for them.
///
/// Follows: moby daemon/pkg/oci/devices_linux.go, DevicesFromPath() and HostDevices(), whose errors
/// these are.
#include <vector>

#include "jobs/container/host_config.h"
#include "libcontainer/spec.h"

namespace davit {

struct ContainerDevices {
    std::vector<Device> nodes;
    /// What may be done with them, beside device_rules_default().
    std::vector<DeviceRule> rules;
    BlockLimits block_limits;
    /// What else a CDI device brings along; none of the mounts is a prepared one.
    std::vector<std::string> environment = {};
    std::vector<Mount> mounts = {};
    std::vector<std::uint32_t> additional_gids = {};
};

/// Takes: permissions: of "rwm"; "": all of them.
DeviceRule device_rule_for(const Device& device, std::string_view permissions);

/// Whether container_devices() has anything to look for.
bool container_has_devices(const HostConfig& config);

/// What the devices that a container asks for are on this host, now: a node's numbers may be others
/// after a reboot. A directory stands for all nodes below it; a privileged container has those of
/// /dev without asking.
/// Takes:  cdi_directories: as device_requests_resolve(); uid, gid: as cdi_edits_apply().
/// Errors: invalid_argument, naming the device; as those two functions.
/// Blocks: for the directory of devices; through offload().
Result<ContainerDevices> container_devices(const HostConfig& config,
                                           const std::vector<std::string>& cdi_directories = {},
                                           std::uint32_t uid = 0,
                                           std::uint32_t gid = 0);

}  // namespace davit
