// POST /images/{name}/push.
#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/platform_json.h"
#include "http/api/progress_response.h"
#include "http/api/registry_auth.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/push.h"

namespace davit::api {

Task<void> image_push(ApiContext& context) {
    PushRequest request;
    CO_TRY(request.reference,
           Reference::parse(context.params.get("name"), context.query.get("tag")));
    request.credentials = registry_credentials(context);
    CO_TRY(request.platform, platform_json_parse(context.query.get("platform")));
    request.all_platforms = context.query.boolean("allPlatforms");
    ProgressResponse progress(context);
    auto work = [](ApiContext& call, PushRequest wanted, ProgressSink& sink) -> Task<void> {
        const Reference name = wanted.reference;
        CO_CHECK(co_await davit::image_push(*call.daemon.images, std::move(wanted), sink));
        image_event(call.daemon, "push", name.familiar(), name.familiar_name(), {});
        co_return ok;
    };
    co_return co_await progress.carry(work(context, std::move(request), progress));
}

}  // namespace davit::api
