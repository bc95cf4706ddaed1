#pragma once
/// Pulling an image through the daemon: for `pull`, and for `run` and `create` of what is not
/// there.
#include <string>

#include "cli/context.h"
#include "graph/reference.h"

namespace davit::cli {

struct PullRequest {
    Reference reference;
    std::string platform;
    bool all_tags = false;
    bool quiet = false;
};

/// Pull, and show how it goes on `out`.
/// Errors: invalid_argument; the daemon's, also those in the middle of the stream.
Task<void> image_pull(Context& context, ApiClient& api, PullRequest request, Output& out);

}  // namespace davit::cli
