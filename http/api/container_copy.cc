// HEAD, GET, PUT /containers/{id}/archive
#include "jobs/container_copy.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "graph/deflate.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "http/registry/base64.h"
#include "jobs/daemon.h"
#include "jobs/engine.h"
#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit::api {

namespace {

struct ArchiveCall {
    std::shared_ptr<Container> container;
    CopyPath path;
};

/// Follows: moby api/server/httputils/form.go ArchiveFormValues(), missing space and all.
Result<ArchiveCall> archive_call(const ApiContext& context) {
    ArchiveCall call;
    call.path.container = context.params.get("id");
    call.path.path = context.query.get("path");
    if (call.path.path.empty()) {
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

/// Whether "gzip" is among the encodings that a client takes. Follows: RFC 9110, 12.5.3.
bool takes_gzip(std::string_view accepted) {
    while (!accepted.empty()) {
        std::string_view item = accepted.substr(0, accepted.find(','));
        accepted.remove_prefix(std::min(item.size() + 1, accepted.size()));
        const std::size_t begin = item.find_first_not_of(" \t");
        item.remove_prefix(std::min(begin, item.size()));
        const std::string_view name = item.substr(0, item.find_first_of("; \t"));
        const std::size_t weight = item.find("q=");
        const std::string_view quality =
            weight == std::string_view::npos ? "1" : item.substr(weight + 2);
        if (name == "gzip" && quality.find_first_not_of("0. \t") != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

/// The response's body: an archive, compressed on the worker pool if the client takes that.
class ArchiveBody {
  public:
    explicit ArchiveBody(ApiContext& context) : context_(context) {
        if (takes_gzip(context.request.head().headers.get("Accept-Encoding"))) {
            deflate_.emplace(Compression::gzip);
            room_.resize(limits::layer_chunk_bytes);
        }
    }

    Task<void> write(std::string_view bytes) {
        if (!context_.response.started()) {
            if (deflate_) {
                context_.response.headers().add("Content-Encoding", "gzip");
            }
            CO_CHECK(co_await context_.response.begin(200, "application/x-tar"));
        }
        if (!deflate_) {
            co_return co_await context_.job.write(bytes);
        }
        co_return co_await compress(bytes, false);
    }

    Task<void> end() {
        if (deflate_) {
            const std::string_view nothing;
            CO_CHECK(co_await compress(nothing, true));
        }
        co_return co_await context_.response.end();
    }

  private:
    Task<void> compress(std::string_view bytes, bool last) {
        const void* start = bytes.data();
        std::span<const std::uint8_t> rest(static_cast<const std::uint8_t*>(start), bytes.size());
        for (;;) {
            auto step = [this, rest, last] {
                return Result<DeflateProgress>(deflate_->step(rest, room_, last));
            };
            CO_TRY(const DeflateProgress progress, co_await offload(step));
            rest = rest.subspan(progress.consumed);
            const void* made = room_.data();
            const std::string_view piece(static_cast<const char*>(made), progress.produced);
            CO_CHECK(co_await context_.job.write(piece));
            if (last ? progress.done : rest.empty()) {
                co_return ok;
            }
        }
    }

    ApiContext& context_;
    std::optional<Deflate> deflate_;
    std::vector<std::uint8_t> room_;
};

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
    ArchiveBody body(context);
    ExportOutput output = [&body](std::string_view bytes) { return body.write(bytes); };
    CO_CHECK(co_await container_copy_out(context.daemon,
                                         std::move(call.container),
                                         std::move(call.path),
                                         std::move(found),
                                         std::move(output)));
    co_return co_await body.end();
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
