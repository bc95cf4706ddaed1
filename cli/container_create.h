#pragma once
/// Creating a container, with the pull that this may need.
#include <string>

#include "cli/container_options.h"
#include "cli/context.h"

namespace davit::cli {

/// Create a container and tell the user of the daemon's warnings; gives its id.
///
/// Takes:  request: of create_request_make(); image: as the user named it.
/// Errors: invalid_argument, conflict (the --cidfile exists); the daemon's.
Task<std::string> container_create(Context& context,
                                   ApiClient& api,
                                   const CreateOptions& options,
                                   CreateRequest request,
                                   std::string image);

}  // namespace davit::cli
