// Goal: attach and exec streams: both forms of the answer, half-close both ways, and no byte lost
// to a client that reads the head through a buffer. Method: raw clients over a socket pair.
#include "http/client.h"
#include "http/server.h"
#include "reactor/async_event.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

std::string request_text(bool upgrade, const std::string& agent, const std::string& body = "") {
    return "POST /attach HTTP/1.1\r\nHost: h\r\nUser-Agent: " + agent + "\r\n" +
           (upgrade ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "") +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

constexpr const char* raw_type = "application/vnd.docker.raw-stream";

/// Greets, reads up to the client's end of stream, answers with what it got, ends the stream.
Task<void> greeter(ServerRequest& request, ServerResponse& response) {
    CO_TRY(const std::string body, co_await request.read_body_all());
    CHECK(!response.started());
    CO_TRY(Hijacked taken, co_await response.hijack(raw_type));
    CHECK(response.started());
    CO_CHECK(co_await taken.stream->write("hello " + body + "\n"));
    CO_TRY(const std::string rest, co_await read_to_end(*taken.stream));
    const std::string all = "got " + taken.buffered + rest;
    CO_CHECK(co_await taken.stream->write(all));
    co_return co_await taken.stream->shutdown_write();
}

Task<void> half_closing_client(std::unique_ptr<FdStream> stream,
                               std::string request,
                               std::string expected_head) {
    CO_CHECK(co_await stream->write(request));
    CO_TRY(const std::string head, co_await read_until(*stream, "\r\n\r\n"));
    CHECK(head == expected_head);
    CO_TRY(const std::string greeting, co_await read_until(*stream, "\n"));
    CHECK(greeting.starts_with("hello"));
    CO_CHECK(co_await stream->write("late"));
    CO_CHECK(co_await stream->shutdown_write());
    CO_TRY(const std::string rest, co_await read_to_end(*stream));
    CHECK(rest == "got earlylate");
    co_return ok;
}

}  // namespace

TEST_CASE("hijack answers 101 to an upgrade and 200 to the rest", "[hijack]") {
    const std::string type = "Content-Type: application/vnd.docker.raw-stream\r\n";
    const std::string upgraded = "HTTP/1.1 101 UPGRADED\r\n" + type +
                                 "Connection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.50\r\n\r\n";
    const std::string plain = "HTTP/1.1 200 OK\r\n" + type + "Api-Version: 1.50\r\n\r\n";
    for (const bool upgrade : {true, false}) {
        for (const char* agent : {"Docker-Client/28.2 (linux)", "docker-sdk-python/7.1"}) {
            for (const char* body : {"", "{\"Detach\":false}"}) {
                INFO(upgrade << " " << agent << " " << body);
                ServerOptions options;
                options.base_headers.add("Api-Version", "1.50");
                const std::string request = request_text(upgrade, agent, body) + "early";
                CHECK(with_server(greeter, std::move(options), [&](auto stream) {
                    return half_closing_client(
                        std::move(stream), request, upgrade ? upgraded : plain);
                }));
            }
        }
    }
}

TEST_CASE("stream bytes wait until the head was read, but not for Go clients", "[hijack]") {
    auto client = [](std::unique_ptr<FdStream> stream,
                     std::string request,
                     std::string& first) -> Task<void> {
        CO_CHECK(co_await stream->write(request));
        CO_CHECK(co_await stream->readable());
        for (int i = 0; i < 20; ++i) {
            co_await yield_now();  // Time for the server to send what it should not yet send.
        }
        std::array<char, 4096> buffer{};
        CO_TRY(const std::size_t got, co_await stream->read(buffer));
        first.assign(buffer.data(), got);
        CO_CHECK(co_await stream->shutdown_write());
        CO_TRY(const std::string rest, co_await read_to_end(*stream));
        CHECK((first + rest).ends_with("hello \ngot "));
        co_return ok;
    };
    const auto first_read = [&](const char* agent) {
        std::string first;
        CHECK(with_server(greeter, {}, [&](auto stream) {
            return client(std::move(stream), request_text(true, agent), first);
        }));
        return first;
    };
    CHECK(first_read("docker-sdk-python/7.1").ends_with("\r\n\r\n"));
    CHECK(first_read("").ends_with("\r\n\r\n"));
    CHECK(first_read("Docker-Client/28.2 (linux)").ends_with("hello \n"));
    CHECK(first_read("Go-http-client/1.1").ends_with("hello \n"));
}

TEST_CASE("a client that never reads is not waited for long", "[hijack]") {
    auto body = []() -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        CO_CHECK(co_await wait_until_drained(*pair.first, 1h));
        CO_CHECK(co_await pair.first->write("x"));
        CO_CHECK(co_await wait_until_drained(*pair.first, 3ms));
        std::array<char, 8> buffer{};
        CO_TRY(const std::size_t got, co_await pair.second->read(buffer));
        CHECK(got == 1);
        CO_CHECK(co_await wait_until_drained(*pair.first, 1h));
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("what arrives while a handler waits belongs to the hijacked stream", "[hijack]") {
    struct Gate {
        AsyncEvent entered;
        AsyncEvent go;
    };

    auto slow = [](ServerRequest& request, ServerResponse& response, Gate& gate) -> Task<void> {
        gate.entered.set();
        CO_CHECK(co_await gate.go.wait());
        co_return co_await greeter(request, response);
    };
    auto client = [](std::unique_ptr<FdStream> stream, Gate& gate) -> Task<void> {
        CO_CHECK(co_await stream->write(request_text(false, "docker-java")));
        CO_CHECK(co_await gate.entered.wait());
        CO_CHECK(co_await stream->write("early"));
        CO_CHECK(co_await sleep_for(1ms));
        gate.go.set();
        CO_TRY(const std::string head, co_await read_until(*stream, "hello \n"));
        CO_CHECK(co_await stream->write("late"));
        CO_CHECK(co_await stream->shutdown_write());
        CO_TRY(const std::string rest, co_await read_to_end(*stream));
        CHECK(rest == "got earlylate");
        co_return ok;
    };
    Gate gate;
    auto handler = [&](ServerRequest& request, ServerResponse& response) {
        return slow(request, response, gate);
    };
    CHECK(with_server(handler, {}, [&](auto stream) { return client(std::move(stream), gate); }));
}

TEST_CASE("errors before the switch are ordinary answers", "[hijack]") {
    auto missing = [](ServerRequest& request, ServerResponse& response) -> Task<void> {
        if (request.head().target != "/attach") {
            co_return co_await response.send(200, "", "next");
        }
        CHECK(request.wants_upgrade("tcp"));
        CHECK(!request.wants_upgrade("h2c"));
        co_return co_await response.send(404, "application/json", "{}");
    };
    const std::string answer = converse(
        missing, request_text(true, "Docker-Client/1") + "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(answer.starts_with("HTTP/1.1 404 "));
    CHECK(answer.ends_with("next"));
}

TEST_CASE("a hijacking client and server talk over one connection", "[hijack]") {
    auto client = [](std::unique_ptr<FdStream> stream) -> Task<void> {
        auto connection = ClientConnection::over(std::move(stream));
        ClientRequest request;
        request.method = "POST";
        request.target = "/exec/1/start";
        request.body = "{}";
        request.upgrade = "tcp";
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        CHECK(response.status() == 101);
        auto taken = response.hijack();
        REQUIRE(taken);
        CHECK(!connection->reusable());
        CO_CHECK(co_await taken->stream->write("in"));
        CO_CHECK(co_await taken->stream->shutdown_write());
        CO_TRY(const std::string rest, co_await read_to_end(*taken->stream));
        CHECK(taken->buffered + rest == "hello {}\ngot in");
        co_return ok;
    };
    CHECK(with_server(greeter, {}, client));
}
