// GET /containers/{id}/export, POST /commit
#include "jobs/container_archive.h"

#include "http/api/handlers.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/engine.h"

namespace davit::api {

Task<void> container_export(ApiContext& context) {
    CO_TRY(std::shared_ptr<Container> container,
           context.daemon.containers.find(context.params.get("id")));
    ExportOutput output = [&context](std::string_view bytes) -> Task<void> {
        if (!context.response.started()) {
            CO_CHECK(co_await context.response.begin(200, "application/octet-stream"));
        }
        co_return co_await context.job.write(bytes);
    };
    CO_CHECK(co_await davit::container_export(context.daemon, container, std::move(output)));
    container_event(context.daemon, *container, "export");
    co_return co_await context.response.end();
}

Task<void> container_commit(ApiContext& context) {
    CO_TRY(std::shared_ptr<Container> container,
           context.daemon.containers.find(context.query.get("container")));
    CommitRequest request;
    if (const std::string_view repository = context.query.get("repo"); !repository.empty()) {
        CO_TRY(const Reference reference, Reference::parse(repository, context.query.get("tag")));
        if (reference.has_digest()) {
            co_return Error(ErrorKind::invalid_argument,
                            "refusing to create a tag with a digest reference");
        }
        request.reference = reference;
    }
    request.author = context.query.get("author");
    request.comment = context.query.get("comment");
    request.pause = context.query.boolean("pause", true);
    for (const std::string_view change : context.query.all("changes")) {
        request.changes.emplace_back(change);
    }
    if (context.request.has_body()) {
        CO_TRY(const std::string text, co_await context.json_body());
        CO_TRY(const JsonDocument body, JsonDocument::parse(text.empty() ? "null" : text));
        CO_TRY(request.config, run_config_parse(body.root()));
    }
    CO_TRY(
        const Digest id,
        co_await davit::container_commit(context.daemon, std::move(container), std::move(request)));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Id").string(id.str()).end_object();
    co_return co_await context.send_json(201, std::move(body));
}

}  // namespace davit::api
