#pragma once
/// HostConfig.DeviceRequests: devices by what they are, not where.
///
/// Follows: moby daemon/devices.go, cdi.go and nvidia_linux.go, whose errors these are. A request
/// for GPUs (`--gpus`) is one for the CDI devices of a GPU's vendor: davit runs no vendor's hook.
#include <string>
#include <vector>

#include "jobs/container/cdi_spec.h"
#include "jobs/container/devices.h"
#include "jobs/container/host_config.h"

namespace davit {

/// What the requests ask for, of the specs that are there now.
/// Takes:  cdi_directories: none, if CDI is switched off.
/// Errors: invalid_argument (no driver does it; a count where none belongs); else as
///         CdiRegistry::edits_of().
/// Blocks: reads files; through offload().
Result<CdiEdits> device_requests_resolve(const std::vector<DeviceRequest>& requests,
                                         const std::vector<std::string>& cdi_directories);

/// Add the edits to what the container gets. What a spec leaves open is looked up on the host.
/// Takes:  uid, gid: of the container's user, to whom nodes belong that say nothing.
/// Errors: internal (a device that is not there); unsupported (a mount that is no bind mount).
/// Blocks: looks at the nodes; through offload().
Result<void> cdi_edits_apply(ContainerDevices& all,
                             const CdiEdits& edits,
                             std::uint32_t uid,
                             std::uint32_t gid);

}  // namespace davit
