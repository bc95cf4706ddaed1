#pragma once
/// Creating a container, with the pull that this may need.
#include <functional>
#include <string>

#include "cli/container_options.h"
#include "cli/context.h"

namespace davit::cli {

/// What a daemon says of a container that it has created.
struct CreateAnswer {
    std::string id;
    std::vector<std::string> warnings;
};

/// Asks for the container, once or, after a pull, twice. Errors: not_found (there is no such
/// image).
using CreatePost = std::function<Task<CreateAnswer>()>;

/// The pull, the --cidfile and the warnings around a request that creates a container; gives its
/// id.
///
/// Takes:  image: as the user named it.
/// Errors: invalid_argument, conflict (the --cidfile exists); the request's.
Task<std::string> container_create_by(Context& context,
                                      ApiClient& api,
                                      const CreateOptions& options,
                                      std::string image,
                                      CreatePost post);

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
