#pragma once
/// Whose registry calls are: the X-Registry-Auth header and the body of a login.
#include <string>
#include <string_view>

#include "http/api/context.h"
#include "http/registry/credentials.h"

namespace davit::api {

/// The request's credentials. Docker takes those that it cannot read for none, and so do we.
RegistryCredentials registry_credentials(const ApiContext& context);

/// "https://index.docker.io/v1/", "index.docker.io" and "" are "docker.io"; of another address its
/// host and port.
std::string registry_domain(std::string_view server_address);

}  // namespace davit::api
