#include "cli/image_pull.h"

#include "cli/auth_config.h"
#include "cli/progress.h"

namespace davit::cli {

Task<void> image_pull(Context& context, ApiClient& api, PullRequest request, Output& out) {
    const Reference& reference = request.reference;
    CO_TRY(const RegistryAuth auth, registry_auth(context.config_directory(), reference.domain()));
    if (!auth.warning.empty()) {
        context.err.line(auth.warning);
    }
    ApiCall call{"POST", "/images/create"};
    call.query.add("fromImage", reference.name());
    if (!request.all_tags) {
        call.query.add("tag", reference.has_digest() ? reference.digest().str() : reference.tag());
    }
    if (!request.platform.empty()) {
        call.query.add("platform", request.platform);
    }
    if (!auth.header.empty()) {
        call.headers.add("X-Registry-Auth", auth.header);
    }
    CO_TRY(ApiStream stream, co_await api.open(std::move(call)));
    ProgressDisplay display(out, request.quiet);
    Result<void> done = co_await progress_follow(stream, display);
    out.flush();
    co_return std::move(done);
}

}  // namespace davit::cli
