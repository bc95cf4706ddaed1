// Images as archives: GET /images/get, GET /images/{name}/get, POST /images/load.
#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/platform_json.h"
#include "http/api/progress_response.h"
#include "jobs/daemon.h"
#include "jobs/engine.h"
#include "jobs/image/image_service.h"
#include "jobs/image/job_source.h"
#include "jobs/image/load.h"
#include "jobs/image/save.h"

namespace davit::api {

namespace {

Task<void> save(ApiContext& context, SaveRequest request) {
    CO_TRY(request.platform, platform_json_parse(context.query.get("platform")));
    SaveOutput output = [&context](std::string_view bytes) -> Task<void> {
        if (!context.response.started()) {
            CO_CHECK(co_await context.response.begin(200, "application/x-tar"));
        }
        co_return co_await context.job.write(bytes);
    };
    std::vector<std::string> names = request.names;
    CO_CHECK(co_await image_save(*context.daemon.images, std::move(request), std::move(output)));
    for (const std::string& name : names) {
        const auto match = context.daemon.graph->view(
            [&](const ReadTxn& txn) { return image_resolve(txn, name); });
        if (match) {
            image_event(context.daemon,
                        "save",
                        match->id.str(),
                        name,
                        image_labels(context.daemon, match->id));
        }
    }
    co_return co_await context.response.end();
}

Task<void> load(ApiContext& context, LoadOptions options, ProgressSink& sink) {
    JobSource body(context.job);
    CO_TRY(const std::vector<LoadedImage> loaded,
           co_await davit::image_load(*context.daemon.images, body, std::move(options), sink));
    for (const LoadedImage& one : loaded) {
        const std::string id = one.image.str();
        image_event(context.daemon, "load", id, id, image_labels(context.daemon, one.image));
    }
    co_return ok;
}

}  // namespace

Task<void> image_load(ApiContext& context) {
    LoadOptions options;
    options.quiet = context.query.boolean("quiet");
    CO_TRY(options.platform, platform_json_parse(context.query.get("platform")));
    ProgressResponse progress(context);
    co_return co_await progress.carry(load(context, std::move(options), progress));
}

Task<void> image_get(ApiContext& context) {
    SaveRequest request;
    request.names.emplace_back(context.params.get("name"));
    co_return co_await save(context, std::move(request));
}

Task<void> images_get(ApiContext& context) {
    SaveRequest request;
    for (const std::string_view name : context.query.all("names")) {
        request.names.emplace_back(name);
    }
    if (request.names.empty()) {
        co_return Error(ErrorKind::invalid_argument, "images/get needs names");
    }
    co_return co_await save(context, std::move(request));
}

}  // namespace davit::api
