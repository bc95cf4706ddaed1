#include "http/server.h"

#include "http/server_connection.h"
#include "reactor/listener.h"
#include "reactor/timer.h"

namespace davit {

namespace {

constexpr Nanoseconds accept_pause = std::chrono::milliseconds(20);

}  // namespace

ServerShared::ServerShared(Handler answer, ServerOptions with)
    : handler(std::move(answer)), options(std::move(with)), places(options.connections_max) {
    options.base_headers.append_to(base_headers);
}

const RequestHead& ServerRequest::head() const {
    return connection_.parser_.request();
}

bool ServerRequest::has_body() const {
    return connection_.parser_.has_body();
}

Task<std::size_t> ServerRequest::read_body(std::span<char> buffer) {
    return connection_.read_body(buffer);
}

Task<std::string> ServerRequest::read_body_all(std::size_t bytes_max) {
    return connection_.read_body_all(bytes_max);
}

bool ServerRequest::wants_upgrade(std::string_view protocol) const {
    const Headers& headers = head().headers;
    return headers.has_token("Connection", "Upgrade") && headers.has_token("Upgrade", protocol);
}

int ServerRequest::connection_fd() const {
    return connection_.stream_ ? connection_.stream_->fd() : -1;
}

Headers& ServerResponse::headers() {
    return connection_.headers_;
}

Task<void> ServerResponse::send(int status, std::string_view content_type, std::string_view body) {
    return connection_.send(status, content_type, body);
}

Task<void> ServerResponse::begin(int status, std::string_view content_type) {
    return connection_.begin(status, content_type);
}

Task<void> ServerResponse::write(std::string_view bytes) {
    return connection_.write(bytes);
}

Task<void> ServerResponse::end() {
    return connection_.end();
}

Task<Hijacked> ServerResponse::hijack(std::string_view content_type, std::string_view protocol) {
    return connection_.hijack(content_type, protocol);
}

bool ServerResponse::started() const {
    return connection_.started_;
}

struct HttpServer::State : ServerShared {
    using ServerShared::ServerShared;

    static Task<void> connection(ServerShared& shared,
                                 std::unique_ptr<FdStream> stream,
                                 Semaphore::Permit place) {
        ++shared.connections;
        {
            ServerConnection connection(shared, std::move(stream));
            static_cast<void>(co_await connection.run());
        }
        --shared.connections;
        place.reset();
        co_return ok;
    }

    Task<void> accept_all(Listener& listener, TaskGroup& group) {
        for (;;) {
            CO_TRY(auto place, co_await places.acquire());
            auto stream = co_await listener.accept();
            if (stream) {
                group.spawn(connection(*this, *std::move(stream), std::move(place)));
                continue;
            }
            if (stream.error().kind() == ErrorKind::cancelled) {
                co_return std::move(stream).error();
            }
            // One connection that could not be set up (epoll's watches ran out): others can.
            CO_CHECK(co_await sleep_for(accept_pause));
        }
    }
};

HttpServer::HttpServer(Handler handler, ServerOptions options)
    : state_(std::make_unique<State>(std::move(handler), std::move(options))) {}

HttpServer::~HttpServer() = default;

Task<void> HttpServer::serve(Listener& listener) {
    TaskGroup group(GroupPolicy::independent);
    Result<void> ended = co_await state_->accept_all(listener, group);
    group.cancel();
    static_cast<void>(co_await group.join());
    co_return ended;
}

Task<void> HttpServer::serve_connection(std::unique_ptr<FdStream> stream) {
    CO_TRY(auto place, co_await state_->places.acquire());
    co_return co_await State::connection(*state_, std::move(stream), std::move(place));
}

std::size_t HttpServer::connections() const {
    return state_->connections;
}

}  // namespace davit
