// HEAD, GET, PUT /containers/{id}/archive
#include "jobs/container_copy.h"

#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "http/registry/base64.h"
#include "jobs/daemon.h"
#include "jobs/engine.h"

namespace davit::api {

namespace {

struct ArchiveCall {
    std::shared_ptr<Container> container;
    std::string path;
};

/// Follows: moby api/server/httputils/form.go ArchiveFormValues(), missing space and all.
Result<ArchiveCall> archive_call(const ApiContext& context) {
    ArchiveCall call;
    call.path = context.query.get("path");
    if (call.path.empty()) {
        return Error(ErrorKind::invalid_argument, "bad parameter: pathcannot be empty");
    }
    TRY(call.container, context.daemon.containers.find(context.params.get("id")));
    return call;
}

void stat_header_set(ServerResponse& response, const PathStat& stat) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("name").string(stat.name).key("size").number(stat.size);
    json.key("mode").number(stat.mode).key("mtime").string(rfc3339_nano(stat.mtime));
    json.key("linkTarget").string(stat.link_target).end_object();
    response.headers().add("X-Docker-Container-Path-Stat", base64_encode(text));
}

}  // namespace

Task<void> container_archive_stat(ApiContext& context) {
    CO_TRY(ArchiveCall call, archive_call(context));
    CO_TRY(const PathStat stat,
           co_await container_path_stat(
               context.daemon, std::move(call.container), std::move(call.path)));
    stat_header_set(context.response, stat);
    co_return co_await context.send_empty(200);
}

Task<void> container_archive_get(ApiContext& context) {
    CO_TRY(ArchiveCall call, archive_call(context));
    std::function<void(const PathStat&)> found = [&context](const PathStat& stat) {
        stat_header_set(context.response, stat);
    };
    ExportOutput output = [&context](std::string_view bytes) -> Task<void> {
        if (!context.response.started()) {
            CO_CHECK(co_await context.response.begin(200, "application/x-tar"));
        }
        co_return co_await context.job.write(bytes);
    };
    CO_CHECK(co_await container_copy_out(context.daemon,
                                         std::move(call.container),
                                         std::move(call.path),
                                         std::move(found),
                                         std::move(output)));
    co_return co_await context.response.end();
}

Task<void> container_archive_put(ApiContext& context) {
    CO_TRY(ArchiveCall call, archive_call(context));
    ContainerCopyIn request;
    request.path = std::move(call.path);
    request.no_overwrite_dir_non_dir = context.query.boolean("noOverwriteDirNonDir");
    request.copy_uid_gid = context.query.boolean("copyUIDGID");
    CO_CHECK(co_await container_copy_in(
        context.job, context.daemon, std::move(call.container), std::move(request)));
    co_return co_await context.send_empty(200);
}

}  // namespace davit::api
