#pragma once
/// The body of POST /containers/create: a container's configuration, its host's, and its networks'.
#include <string>
#include <string_view>

#include "http/api/api_version.h"
#include "jobs/container/config.h"
#include "jobs/container/endpoint.h"
#include "jobs/container/host_config.h"

namespace davit {

struct ContainerCreateBody {
    ContainerConfig config;
    HostConfig host_config;
    /// By network.
    std::map<std::string, EndpointSettings> endpoints;
};

/// Read the body as a client of this version means it.
/// Follows: Docker Engine API, operation ContainerCreate; API.md 2.4 and 2.14.
/// Errors: invalid_argument (empty, not JSON, a member of a wrong type, several networks
/// below 1.44);
///         unsupported (settings of a network's endpoint, such as an IPv6 address).
Result<ContainerCreateBody> container_create_body_parse(std::string_view body, ApiVersion version);

/// What two bodies have in common that ask for the same: compact JSON, the members of objects in
/// the order of their names, without what tells of the client's terminal alone
/// (HostConfig.ConsoleSize: docker's command line sends it).
/// Errors: invalid_argument (not JSON).
Result<std::string> container_create_body_meaning(std::string_view body);

/// KernelMemory is gone from the API with 1.42: newer clients' is ignored, in create and update.
void kernel_memory_forget(HostConfig& config, ApiVersion version);

}  // namespace davit
