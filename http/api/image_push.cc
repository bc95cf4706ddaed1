// POST /images/{name}/push.
#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/progress_response.h"
#include "http/api/registry_auth.h"
#include "http/json_reader.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"
#include "jobs/image/push.h"

namespace davit::api {

namespace {

/// The platform parameter is an object of the OCI image-spec here, not os/arch. Since 1.46.
Result<std::optional<Platform>> platform_of(const ApiContext& context) {
    const std::string_view text = context.query.get("platform");
    if (text.empty()) {
        return std::optional<Platform>{};
    }
    Result<JsonDocument> document = JsonDocument::parse(text);
    if (!document) {
        return Error(ErrorKind::invalid_argument,
                     "failed to parse platform: " + document.error().message());
    }
    const JsonValue root = document->root();
    TRY(const std::string os, root.string_or("os", ""));
    TRY(const std::string architecture, root.string_or("architecture", ""));
    TRY(const std::string variant, root.string_or("variant", ""));
    if (os.empty() || architecture.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "both OS and Architecture must be provided in the platform");
    }
    TRY(Platform platform,
        platform_parse(os + "/" + architecture + (variant.empty() ? "" : "/" + variant)));
    return std::optional<Platform>(std::move(platform));
}

}  // namespace

Task<void> image_push(ApiContext& context) {
    PushRequest request;
    CO_TRY(request.reference,
           Reference::parse(context.params.get("name"), context.query.get("tag")));
    request.credentials = registry_credentials(context);
    CO_TRY(request.platform, platform_of(context));
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
