// POST /images/create: pull and import, with their progress.
#include "http/api/handlers.h"
#include "http/api/image_event.h"
#include "http/api/progress_response.h"
#include "jobs/daemon.h"
#include "jobs/engine.h"
#include "jobs/image/image_service.h"
#include "jobs/image/import.h"
#include "jobs/image/job_source.h"
#include "jobs/image/pull.h"

namespace davit::api {

namespace {

Result<std::optional<Platform>> platform_of(const ApiContext& context) {
    const std::string_view text = context.query.get("platform");
    if (text.empty()) {
        return std::optional<Platform>{};
    }
    TRY(Platform platform, platform_parse(text));
    return std::optional<Platform>(std::move(platform));
}

/// Docker says 500 to what a registry refuses for want of a login. To 401 its command line answers
/// by asking for a password, even where nobody can answer.
Error pull_error(Error error) {
    if (error.kind() == ErrorKind::unauthorized) {
        return std::move(error).with_kind(ErrorKind::internal);
    }
    return error;
}

/// `docker pull -a`: one event for all of it, as with Docker.
Task<void> pull_all(ApiContext& context, PullRequest request, ProgressSink& sink) {
    const std::string name = request.reference.familiar_name();
    const Result<bool> pulled =
        co_await image_pull_all(*context.daemon.images, std::move(request), sink);
    if (!pulled) {
        co_return pull_error(pulled.error());
    }
    image_event(context.daemon, "pull", name, name, {});
    co_return ok;
}

Task<void> pull(ApiContext& context) {
    PullRequest request;
    CO_TRY(const Reference reference,
           Reference::parse(context.query.get("fromImage"), context.query.get("tag")));
    request.reference = reference;
    // Docker takes credentials that it cannot read for none.
    auto credentials = credentials_parse(context.request.head().headers.get("X-Registry-Auth"));
    request.credentials = credentials ? *std::move(credentials) : RegistryCredentials{};
    CO_TRY(request.platform, platform_of(context));
    ProgressResponse progress(context);
    if (reference.is_name_only()) {
        co_return co_await progress.carry(pull_all(context, std::move(request), progress));
    }
    auto work = [](ApiContext& call, PullRequest wanted, ProgressSink& sink) -> Task<void> {
        const Result<PullResult> pulled =
            co_await image_pull(*call.daemon.images, std::move(wanted), sink);
        if (!pulled) {
            co_return pull_error(pulled.error());
        }
        image_event(call.daemon,
                    "pull",
                    pulled->reference.familiar(),
                    pulled->reference.familiar_name(),
                    image_labels(call.daemon, pulled->image));
        co_return ok;
    };
    co_return co_await progress.carry(work(context, std::move(request), progress));
}

Task<void> import(ApiContext& context) {
    if (context.query.get("fromSrc") != "-") {
        co_return Error(ErrorKind::unsupported,
                        "import from a URL is not supported yet: download the archive and send it "
                        "as the request's body with fromSrc=-");
    }
    ImportRequest request;
    if (const std::string_view repository = context.query.get("repo"); !repository.empty()) {
        CO_TRY(const Reference reference, Reference::parse(repository, context.query.get("tag")));
        request.reference = reference;
    }
    for (const std::string_view change : context.query.all("changes")) {
        request.changes.emplace_back(change);
    }
    request.message = context.query.get("message");
    CO_TRY(request.platform, platform_of(context));
    ProgressResponse progress(context);
    auto work = [](ApiContext& call, ImportRequest wanted, ProgressSink& sink) -> Task<void> {
        JobSource body(call.job);
        const std::optional<Reference> name = wanted.reference;
        CO_TRY(const Digest image,
               co_await image_import(*call.daemon.images, std::move(wanted), body, sink));
        const ImageLabels labels = image_labels(call.daemon, image);
        if (name) {
            image_event(
                call.daemon, "tag", image.str(), name->with_default_tag().familiar(), labels);
        }
        image_event(call.daemon, "import", image.str(), image.str(), labels);
        co_return ok;
    };
    co_return co_await progress.carry(work(context, std::move(request), progress));
}

}  // namespace

Task<void> image_create(ApiContext& context) {
    if (!context.query.get("fromImage").empty()) {
        co_return co_await pull(context);
    }
    if (!context.query.get("fromSrc").empty()) {
        co_return co_await import(context);
    }
    co_return Error(ErrorKind::invalid_argument, "images/create needs fromImage or fromSrc");
}

}  // namespace davit::api
