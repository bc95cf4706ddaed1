// GET /containers/{id}/attach/ws: the streams of a container in WebSocket frames, never
// multiplexed.
#include <sys/socket.h>

#include "http/api/attach_request.h"
#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "http/websocket.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit::api {

namespace {

/// Carries plain bytes on one stream, that of the attachment, as frames on the other one.
class WebSocketBridge {
  public:
    WebSocketBridge(Hijacked client, std::unique_ptr<FdStream> inner, WebSocketOpcode type)
        : client_(std::move(client.stream)),
          ahead_(std::move(client.buffered)),
          inner_(std::move(inner)),
          type_(type) {}

    /// Until the client goes, or has had the attachment's end for a while.
    Task<void> carry() {
        TaskGroup group;
        group.spawn(output_then_end(group));
        group.spawn(input_then_end(group));
        group.spawn(watch(group));
        static_cast<void>(co_await group.join());
        inner_.reset();  // The attachment learns that its client is gone.
        co_return ok;
    }

  private:
    Task<void> send(std::string_view head, std::string_view payload) {
        CO_TRY(const auto turn, co_await sending_.lock());
        const std::array<std::string_view, 2> parts{head, payload};
        co_return co_await client_->write_parts(parts);
    }

    Task<void> send_close(std::uint16_t code, std::string_view reason) {
        if (!close_sent_) {
            close_sent_ = true;
            const std::string frame = websocket_close_frame(code, reason);
            CO_CHECK(co_await send(frame, {}));
        }
        co_return ok;
    }

    Task<void> output_then_end(TaskGroup& group) {
        const Result<void> carried = co_await carry_output();
        if (carried) {
            static_cast<void>(co_await linger());
        }
        group.cancel();
        co_return ok;
    }

    /// The client answers the close frame, and closes.
    static Task<void> linger() { co_return co_await sleep_for(limits::attach_close_max); }

    Task<void> carry_output() {
        constexpr std::uint16_t code_normal = 1000;
        std::vector<char> buffer(limits::output_read_bytes);
        for (;;) {
            CO_TRY(const std::size_t got, co_await inner_->read(buffer));
            if (got == 0) {
                co_return co_await send_close(code_normal, {});
            }
            if (!close_sent_) {
                const std::string head = websocket_header(type_, got);
                CO_CHECK(co_await send(head, std::string_view(buffer.data(), got)));
            }
        }
    }

    Task<void> input_then_end(TaskGroup& group) {
        static_cast<void>(co_await carry_input());
        group.cancel();
        co_return ok;
    }

    Task<void> carry_input() {
        WebSocketDecoder decoder;
        std::vector<char> buffer(limits::attach_input_bytes);
        bool taken = true;  // By the attachment.
        for (std::string bytes = std::move(ahead_);;) {
            const WebSocketDecoder::Step step = decoder.feed(bytes);
            if (taken && !step.data.empty()) {
                taken = static_cast<bool>(co_await inner_->write(step.data));
            }
            if (step.ping) {
                const std::string head = websocket_header(WebSocketOpcode::pong, step.ping->size());
                CO_CHECK(co_await send(head, *step.ping));
            }
            if (step.close) {
                co_return co_await send_close(step.close->code, step.close->reason);
            }
            CO_TRY(const std::size_t got, co_await client_->read(buffer));
            if (got == 0) {
                co_return ok;
            }
            bytes.assign(buffer.data(), got);
        }
    }

    /// A client that is gone ends all, also while its input waits for the container to read.
    Task<void> watch(TaskGroup& group) {
        CO_CHECK(co_await client_->hung_up());
        group.cancel();
        co_return ok;
    }

    std::unique_ptr<FdStream> client_;
    std::string ahead_;
    std::unique_ptr<FdStream> inner_;
    WebSocketOpcode type_;
    AsyncMutex sending_;
    bool close_sent_ = false;
};

/// A page of another site must not speak to a daemon that a browser can reach: it would do so with
/// what the browser may do. Other clients send any Origin, or none, and need no browser.
Result<void> origin_check(const ApiContext& context) {
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    const int fd = context.request.connection_fd();
    const Headers& headers = context.request.head().headers;
    const std::string_view origin = headers.get("Origin");
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): getsockname(2)'s own type.
    if (origin.empty() || (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                           address.ss_family == AF_UNIX)) {
        return ok;
    }
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos || origin.substr(scheme + 3) != headers.get("Host")) {
        return Error(ErrorKind::permission_denied,
                     "a page of " + std::string(origin) +
                         " may not attach: its Origin is not this daemon's Host");
    }
    return ok;
}

/// Gives: whether it was answered already: the client speaks another version.
Task<bool> handshake(ApiContext& context) {
    const Headers& asked = context.request.head().headers;
    if (!context.request.wants_upgrade("websocket")) {
        co_return Error(ErrorKind::invalid_argument, "not a websocket handshake: no Upgrade");
    }
    Headers& answer = context.response.headers();
    if (asked.get("Sec-WebSocket-Version") != "13") {
        answer.set("Sec-WebSocket-Version", "13");
        std::string body;
        JsonWriter(body)
            .begin_object()
            .key("message")
            .string("websocket version 13 is needed")
            .end_object();
        CO_CHECK(co_await context.response.send(426, "application/json", body));
        co_return true;
    }
    CO_CHECK(origin_check(context));
    const std::string accept = websocket_accept(asked.get("Sec-WebSocket-Key"));
    if (accept.empty()) {
        co_return Error(ErrorKind::invalid_argument,
                        "not a websocket handshake: Sec-WebSocket-Key is not 16 bytes in base64");
    }
    answer.set("Sec-WebSocket-Accept", accept);
    // A browser that offers protocols wants one of them; all mean the same here.
    const std::string_view protocols = asked.get("Sec-WebSocket-Protocol");
    if (!protocols.empty()) {
        answer.set("Sec-WebSocket-Protocol",
                   std::string(protocols.substr(0, protocols.find_first_of(", "))));
    }
    co_return false;
}

}  // namespace

Task<void> container_attach_websocket(ApiContext& context) {
    CO_TRY(const auto container, context.daemon.containers.find(context.params.get("id")));
    CO_CHECK(attachable(*container, context.params.get("id")));
    CO_TRY(AttachRequest request, attach_request(context, *container));
    request.framed = false;
    if (context.version < ApiVersion{1, 42}) {  // They have no way to ask.
        request.input = request.output = request.error = true;
    }
    CO_TRY(const bool answered, co_await handshake(context));
    if (answered) {
        co_return ok;
    }
    CO_TRY(StreamPair pair, stream_pair_make());
    auto reader = std::make_unique<OutputHub::Reader>(container->output);
    CO_TRY(Hijacked connection, co_await context.response.hijack("", "websocket"));
    const WebSocketOpcode type =
        context.version < ApiVersion{1, 28} ? WebSocketOpcode::text : WebSocketOpcode::binary;
    WebSocketBridge bridge(std::move(connection), std::move(pair.second), type);
    auto client =
        std::make_shared<AttachedClient>(AttachedClient{std::move(pair.first), std::string()});
    TaskGroup group;
    group.spawn(bridge.carry());
    group.spawn(
        attach_carry(context, container, std::move(request), std::move(reader), std::move(client)));
    co_return co_await group.join();
}

}  // namespace davit::api
