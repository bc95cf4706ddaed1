// Endpoints that carry a container's streams: attach, logs, resize.
#include <sys/ioctl.h>

#include "http/api/attach_request.h"
#include "http/api/duration.h"
#include "http/api/handlers.h"
#include "http/api/stream_type.h"
#include "jobs/container_jobs.h"
#include "jobs/container_streams.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

constexpr std::string_view raw_stream = "application/vnd.docker.raw-stream";
constexpr std::string_view multiplexed_stream = "application/vnd.docker.multiplexed-stream";
constexpr std::string_view default_detach_keys = "ctrl-p,ctrl-q";

Result<std::optional<WallTime>> log_time(const ApiContext& context, std::string_view key) {
    const std::string_view text = context.query.get(key);
    if (text.empty() || text == "0") {
        return std::optional<WallTime>{};
    }
    TRY(const WallTime time, timestamp_parse(text, wall_now()));
    return std::optional<WallTime>(time);
}

Result<LogsRequest> logs_request(const ApiContext& context, const Container& container) {
    LogsRequest request;
    request.output = context.query.boolean("stdout");
    request.error = context.query.boolean("stderr");
    if (!request.output && !request.error) {
        return Error(ErrorKind::invalid_argument,
                     "Bad parameters: you must choose at least one stream");
    }
    request.follow = context.query.boolean("follow");
    request.details = context.query.boolean("details");
    request.timestamps = context.query.boolean("timestamps");
    request.framed = !container.record.config.tty;
    TRY(request.since, log_time(context, "since"));
    TRY(request.until, log_time(context, "until"));
    // Docker reads a tail that is no number as "all".
    if (const auto tail = context.query.integer("tail"); tail && *tail && **tail >= 0) {
        request.tail = static_cast<std::uint64_t>(**tail);
    }
    return request;
}

}  // namespace

std::string_view stream_type(const ApiContext& context, bool framed) {
    return framed && context.version >= ApiVersion{1, 42} ? multiplexed_stream : raw_stream;
}

Result<std::string> detach_keys(const ApiContext& context) {
    const std::string_view keys = context.query.get("detachKeys");
    return detach_keys_parse(keys.empty() ? default_detach_keys : keys);
}

Result<AttachRequest> attach_request(const ApiContext& context, const Container& container) {
    const bool tty = container.record.config.tty;
    AttachRequest request;
    request.input = context.query.boolean("stdin");
    request.output = context.query.boolean("stdout");
    request.error = context.query.boolean("stderr");
    request.logs = context.query.boolean("logs");
    request.stream = context.query.boolean("stream");
    request.framed = !tty;
    if (!request.stream && !request.logs) {
        return Error(ErrorKind::invalid_argument,
                     "attach needs stream=1 or logs=1: nothing would be sent");
    }
    if (tty) {
        TRY(request.detach_keys, detach_keys(context));
    }
    return request;
}

Result<void> attachable(const Container& container, std::string_view name) {
    const ContainerState state = container.record.state.status;
    const std::string text = "container " + std::string(name);
    if (state == ContainerState::paused) {
        return Error(ErrorKind::conflict, text + " is paused, unpause the container before attach");
    }
    if (state == ContainerState::restarting) {
        return Error(ErrorKind::conflict,
                     text + " is restarting, wait until the container is running");
    }
    return ok;
}

Task<AttachEnd> attach_to_end(ApiContext& context,
                              std::shared_ptr<Container> container,
                              AttachRequest request,
                              std::unique_ptr<OutputHub::Reader> reader,
                              std::shared_ptr<AttachedClient> client) {
    container_event(context.daemon, *container, "attach");
    Result<AttachEnd> attached = co_await davit::container_attach(
        context.job, container, std::move(request), std::move(reader), std::move(client));
    if (attached && *attached == AttachEnd::detached) {
        container_event(context.daemon, *container, "detach");
    }
    co_return std::move(attached);
}

Task<void> attach_carry(ApiContext& context,
                        std::shared_ptr<Container> container,
                        AttachRequest request,
                        std::unique_ptr<OutputHub::Reader> reader,
                        std::shared_ptr<AttachedClient> client) {
    static_cast<void>(co_await attach_to_end(
        context, std::move(container), std::move(request), std::move(reader), std::move(client)));
    co_return ok;
}

Result<TerminalSize> terminal_size(const ApiContext& context) {
    TRY(const auto height, context.query.integer("h"));
    TRY(const auto width, context.query.integer("w"));
    if (!height || !width || *height < 0 || *width < 0 || *height > UINT16_MAX ||
        *width > UINT16_MAX) {
        return Error(ErrorKind::invalid_argument, "resize needs h and w, each 0 to 65535");
    }
    return TerminalSize{static_cast<std::uint16_t>(*height), static_cast<std::uint16_t>(*width)};
}

Task<void> container_attach(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_CHECK(attachable(*container, context.params.get("id")));
    CO_TRY(AttachRequest request, attach_request(context, *container));
    auto reader = std::make_unique<OutputHub::Reader>(container->output);
    const std::string_view type = stream_type(context, request.framed);
    CO_TRY(Hijacked connection, co_await context.response.hijack(type));
    auto client = std::make_shared<AttachedClient>(
        AttachedClient{std::move(connection.stream), std::move(connection.buffered)});
    co_return co_await attach_carry(
        context, container, std::move(request), std::move(reader), std::move(client));
}

Task<void> container_logs(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_TRY(const LogsRequest request, logs_request(context, *container));
    if (container->record.host_config.log_config.type == "none") {
        co_return Error(ErrorKind::unsupported,
                        "configured logging driver does not support reading");
    }
    CO_CHECK(co_await context.response.begin(200, stream_type(context, request.framed)));
    CO_CHECK(co_await davit::container_logs(context.job, container, request));
    co_return co_await context.response.end();
}

Task<void> container_resize(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_TRY(const TerminalSize wanted, terminal_size(context));
    if (!container->run) {
        co_return Error(ErrorKind::conflict,
                        "container " + container->id().str() + " is not running");
    }
    const winsize size{
        .ws_row = wanted.height, .ws_col = wanted.width, .ws_xpixel = 0, .ws_ypixel = 0};
    // Without a terminal there is nothing to do, and Docker says yes, too.
    if (container->run->tty && ::ioctl(container->run->output->fd(), TIOCSWINSZ, &size) != 0) {
        co_return Error::from_errno(errno, "ioctl(TIOCSWINSZ)");
    }
    container_event(
        context.daemon,
        *container,
        "resize",
        {{"height", std::to_string(wanted.height)}, {"width", std::to_string(wanted.width)}});
    co_return co_await context.send_empty(200);
}

}  // namespace davit::api
