// Goal: handlers, connections and their ends: who leaves is noticed, who stays is served, and a
// cancelled server leaves nothing behind. Method: listeners on real sockets, events, no times.
#include <sys/socket.h>
#include <unistd.h>

#include "http/client.h"
#include "http/server.h"
#include "reactor/async_event.h"
#include "reactor/listener.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A handler that waits until it is let go or cancelled.
struct Waiting {
    AsyncEvent entered;
    AsyncEvent go;
    AsyncEvent left;
    bool cancelled = false;

    Task<void> handle(ServerRequest& request, ServerResponse& response) {
        CO_TRY(const std::string body, co_await request.read_body_all());
        entered.set();
        const Result<void> woken = co_await go.wait();
        cancelled = !woken && woken.error().kind() == ErrorKind::cancelled;
        left.set();
        CO_CHECK(woken);
        co_return co_await response.send(200, "", "done " + body);
    }
};

Result<void> with_waiting(Waiting& waiting,
                          Task<void> (*client)(std::unique_ptr<FdStream>, Waiting&)) {
    auto handler = [&waiting](ServerRequest& request, ServerResponse& response) {
        return waiting.handle(request, response);
    };
    return with_server(handler, {}, [&waiting, client](std::unique_ptr<FdStream> stream) {
        return client(std::move(stream), waiting);
    });
}

}  // namespace

TEST_CASE("a client that goes away cancels its handler", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await there.entered.wait());
        stream.reset();
        co_return co_await there.left.wait();
    };
    CHECK(with_waiting(waiting, client));
    CHECK(waiting.cancelled);
}

TEST_CASE("a client that goes away after a late body cancels its handler", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"));
        co_await yield_now();
        CO_CHECK(co_await stream->write("ab"));
        CO_CHECK(co_await sleep_for(1ms));
        CO_CHECK(co_await stream->write("cd"));
        CO_CHECK(co_await there.entered.wait());
        stream.reset();
        co_return co_await there.left.wait();
    };
    CHECK(with_waiting(waiting, client));
    CHECK(waiting.cancelled);
}

TEST_CASE("a half-closed unix client still gets its answer", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await stream->shutdown_write());
        CO_CHECK(co_await there.entered.wait());
        CO_CHECK(co_await sleep_for(2ms));
        there.go.set();
        CO_TRY(const std::string answer, co_await read_to_end(*stream));
        CHECK(answer.ends_with("done "));
        co_return ok;
    };
    CHECK(with_waiting(waiting, client));
    CHECK(!waiting.cancelled);
}

TEST_CASE("a half-closed unix client that then goes away cancels its handler", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await stream->shutdown_write());
        CO_CHECK(co_await there.entered.wait());
        CO_CHECK(co_await sleep_for(2ms));  // The watch sees the end.
        stream.reset();
        co_return co_await there.left.wait();
    };
    CHECK(with_waiting(waiting, client));
    CHECK(waiting.cancelled);
}

TEST_CASE("a client that half-closes before its last request is served can leave", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await there.entered.wait());
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await stream->shutdown_write());
        CO_CHECK(co_await sleep_for(2ms));
        there.entered.reset();
        there.go.set();
        there.go.reset();
        CO_CHECK(co_await there.entered.wait());  // The second one is waited with.
        there.left.reset();
        stream.reset();
        co_return co_await there.left.wait();
    };
    CHECK(with_waiting(waiting, client));
    CHECK(waiting.cancelled);
}

TEST_CASE("a client that sent too much to be watched can leave", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await there.entered.wait());
        CO_CHECK(co_await stream->write(std::string(50'000, 'x')));
        CO_CHECK(co_await sleep_for(2ms));
        stream.reset();
        co_return co_await there.left.wait();
    };
    CHECK(with_waiting(waiting, client));
    CHECK(waiting.cancelled);
}

TEST_CASE("requests pipelined behind a waiting handler are kept", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await there.entered.wait());
        for (const char c : get) {  // Read byte by byte, while the handler is watched.
            CO_CHECK(co_await stream->write({&c, 1}));
            co_await yield_now();
        }
        // More than is buffered for a waiting handler.
        const std::string more = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" +
                                 std::string(50'000, 'x');
        CO_CHECK(co_await stream->write(more));
        CO_CHECK(co_await sleep_for(2ms));
        there.go.set();
        CO_CHECK(co_await stream->shutdown_write());
        CO_TRY(const std::string answer, co_await read_to_end(*stream));
        CHECK(count_of(answer, "\r\n\r\ndone ") == 3);
        CHECK(answer.ends_with("xxx"));
        co_return ok;
    };
    CHECK(with_waiting(waiting, client));
    CHECK(!waiting.cancelled);
}

TEST_CASE("requests before a half-close are all answered", "[server]") {
    Waiting waiting;
    auto client = [](std::unique_ptr<FdStream> stream, Waiting& there) -> Task<void> {
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await there.entered.wait());
        CO_CHECK(co_await stream->write(get + get));
        CO_CHECK(co_await stream->shutdown_write());
        CO_CHECK(co_await sleep_for(2ms));  // The watch sees the end.
        there.go.set();
        CO_TRY(const std::string answer, co_await read_to_end(*stream));
        CHECK(count_of(answer, "\r\n\r\ndone ") == 3);
        co_return ok;
    };
    CHECK(with_waiting(waiting, client));
}

TEST_CASE("a TCP client that goes away cancels its handler", "[server]") {
    auto body = [](Waiting& waiting) -> Task<void> {
        HttpServer server(
            [&waiting](ServerRequest& request, ServerResponse& response) {
                return waiting.handle(request, response);
            },
            {});
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server.serve(listener));
        CO_TRY(auto stream, co_await connect_tcp("127.0.0.1", listener.port()));
        CO_CHECK(co_await stream->write(get));
        CO_CHECK(co_await waiting.entered.wait());
        stream.reset();
        CO_CHECK(co_await waiting.left.wait());
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return ok;
    };
    Waiting waiting;
    Loop loop;
    CHECK(loop.run(body(waiting)));
    CHECK(waiting.cancelled);
}

TEST_CASE("a cancelled server cancels handlers and joins them", "[server]") {
    auto body = [](Waiting& waiting) -> Task<void> {
        HttpServer server(
            [&waiting](ServerRequest& request, ServerResponse& response) {
                return waiting.handle(request, response);
            },
            {});
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server.serve(listener));
        CO_TRY(auto busy, co_await connect_tcp("127.0.0.1", listener.port()));
        CO_TRY(auto idle, co_await connect_tcp("127.0.0.1", listener.port()));
        CO_CHECK(co_await busy->write(get));
        CO_CHECK(co_await waiting.entered.wait());
        group.cancel();
        static_cast<void>(co_await group.join());
        CHECK(server.connections() == 0);
        CO_TRY(const std::string answer, co_await read_to_end(*busy));
        CHECK(answer.starts_with("HTTP/1.1 500"));  // The handler's `cancelled`.
        CO_TRY(const std::string nothing, co_await read_to_end(*idle));
        CHECK(nothing.empty());
        co_return ok;
    };
    Waiting waiting;
    Loop loop;
    CHECK(loop.run(body(waiting)));
    CHECK(waiting.cancelled);
}

namespace {

struct Crowd {
    std::size_t connections_most = 0;
    std::size_t answers = 0;
    HttpServer* server = nullptr;
};

Task<void> crowd_handler(Crowd& crowd, ServerRequest& request, ServerResponse& response) {
    crowd.connections_most = std::max(crowd.connections_most, crowd.server->connections());
    CO_CHECK(co_await sleep_for(1ms));
    co_return co_await response.send(200, "", request.head().target);
}

Task<void> crowd_client(Crowd& crowd, std::string path, int number) {
    CO_TRY(auto connection, co_await ClientConnection::connect_unix(path));
    for (int i = 0; i < 3; ++i) {
        ClientRequest request;
        request.target = "/" + std::to_string(number * 10 + i);
        const std::string expected = request.target;
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        CO_TRY(const std::string body, co_await response.read_body_all(100));
        if (body == expected) {
            ++crowd.answers;
        }
    }
    co_return ok;
}

void run_crowd(Crowd& crowd, int clients, std::size_t connections_max) {
    auto body = [](Crowd& all, int count, std::size_t limit) -> Task<void> {
        ServerOptions options;
        options.connections_max = limit;
        HttpServer server(
            [&all](ServerRequest& request, ServerResponse& response) {
                return crowd_handler(all, request, response);
            },
            std::move(options));
        all.server = &server;
        const std::string path = "/tmp/davit-http-test-" + std::to_string(::getpid());
        CO_TRY(Listener listener, Listener::unix_socket(path));
        TaskGroup serving(GroupPolicy::independent);
        serving.spawn(server.serve(listener));
        TaskGroup clients_group;
        for (int i = 0; i < count; ++i) {
            clients_group.spawn(crowd_client(all, path, i));
        }
        const Result<void> joined = co_await clients_group.join();
        serving.cancel();
        static_cast<void>(co_await serving.join());
        ::unlink(path.c_str());
        co_return joined;
    };
    Loop loop;
    CHECK(loop.run(body(crowd, clients, connections_max)));
    CHECK(crowd.answers == 3 * static_cast<std::size_t>(clients));
}

}  // namespace

TEST_CASE("many connections are served side by side", "[server]") {
    Crowd crowd;
    run_crowd(crowd, 400, 8192);
    CHECK(crowd.connections_most == 400);
}

TEST_CASE("connections beyond the limit wait for their turn", "[server]") {
    Crowd crowd;
    run_crowd(crowd, 30, 4);
    CHECK(crowd.connections_most <= 4);
}

TEST_CASE("a limit of one still serves one after the other", "[server]") {
    Crowd crowd;
    run_crowd(crowd, 5, 1);
    CHECK(crowd.connections_most == 1);
}
