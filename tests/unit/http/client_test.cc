// Goal: the client reads every kind of body to its right end, and takes nothing cut short for a
// success. Method: scripted servers that send fixed bytes over a socket pair.
#include "http/client.h"

#include "http/server.h"
#include "reactor/loop.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

/// What one request led to.
struct Seen {
    int status = 0;
    std::string body;
    std::optional<std::uint64_t> body_bytes;
    bool reusable = false;
    std::optional<ErrorKind> head_error;
    std::optional<ErrorKind> body_error;
    std::string request;
};

Task<void> one_request(ClientConnection& connection,
                       ClientRequest request,
                       std::size_t bytes_max,
                       Seen& seen) {
    auto response = co_await connection.send(std::move(request));
    if (!response) {
        seen.head_error = response.error().kind();
        co_return ok;
    }
    seen.status = response->status();
    seen.body_bytes = response->body_bytes();
    auto body = co_await response->read_body_all(bytes_max);
    if (!body) {
        seen.body_error = body.error().kind();
        co_return ok;
    }
    seen.body = *body;
    seen.reusable = connection.reusable();
    co_return ok;
}

/// Sends an answer and, unless it stays open, ends the stream.
Task<void> scripted(std::unique_ptr<FdStream> stream, std::string answer, bool open, Seen& seen) {
    CO_TRY(seen.request, co_await read_until(*stream, "\r\n\r\n"));
    CO_CHECK(co_await stream->write(answer));
    if (open) {
        static_cast<void>(co_await read_to_end(*stream));
    }
    co_return ok;
}

Seen ask(std::string answer,
         bool open = false,
         std::string method = "GET",
         std::size_t bytes_max = 1000) {
    auto body = [](std::string text, bool stays, std::string verb, std::size_t limit, Seen& seen)
        -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        TaskGroup group(GroupPolicy::independent);
        group.spawn(scripted(std::move(pair.second), std::move(text), stays, seen));
        {
            ClientOptions options;
            options.stall_timeout = 500ms;
            auto connection = ClientConnection::over(std::move(pair.first), options);
            ClientRequest request;
            request.method = std::move(verb);
            request.target = "/t";
            CO_CHECK(co_await one_request(*connection, std::move(request), limit, seen));
        }
        static_cast<void>(co_await group.join());
        co_return ok;
    };
    Seen seen;
    Loop loop;
    CHECK(loop.run(body(std::move(answer), open, std::move(method), bytes_max, seen)));
    return seen;
}

const std::string ok_head = "HTTP/1.1 200 OK\r\n";

}  // namespace

TEST_CASE("bodies end by length, by chunks or with the connection", "[client]") {
    const Seen length = ask(ok_head + "Content-Length: 3\r\n\r\nabc", true);
    CHECK(length.body == "abc");
    CHECK(length.body_bytes == 3);
    CHECK(length.reusable);
    CHECK(length.request == "GET /t HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Seen chunked =
        ask(ok_head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", true);
    CHECK(chunked.body == "abc");
    CHECK(!chunked.body_bytes);
    CHECK(chunked.reusable);
    const Seen until_end = ask(ok_head + "\r\nabc");
    CHECK(until_end.body == "abc");
    CHECK(!until_end.reusable);
    const Seen closing = ask(ok_head + "Connection: close\r\nContent-Length: 0\r\n\r\n", true);
    CHECK(closing.status == 200);
    CHECK(!closing.reusable);
}

TEST_CASE("answers without a body end at their head", "[client]") {
    const Seen head = ask(ok_head + "Content-Length: 99\r\n\r\n", true, "HEAD");
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.body_bytes == 99);
    CHECK(head.reusable);
    const Seen unchanged = ask("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", true);
    CHECK(unchanged.status == 304);
    CHECK(unchanged.reusable);
    CHECK(ask("HTTP/1.1 204 No Content\r\n\r\n", true).reusable);
    const Seen later = ask(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok_head + "Content-Length: 99\r\n\r\n",
        true,
        "HEAD");
    CHECK(later.status == 200);
    CHECK(!later.body_error);
    CHECK(later.reusable);
}

TEST_CASE("interim answers are passed over", "[client]") {
    const Seen seen = ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" +
                              ok_head + "Content-Length: 2\r\n\r\nhi",
                          true);
    CHECK(seen.status == 200);
    CHECK(seen.body == "hi");
}

TEST_CASE("endless interim answers are an error", "[client]") {
    std::string interim;
    for (int i = 0; i < 100; ++i) {
        interim += "HTTP/1.1 103 Early\r\n\r\n";
    }
    CHECK(ask(interim + ok_head + "Content-Length: 0\r\n\r\n", true).head_error ==
          ErrorKind::corrupt);
}

TEST_CASE("a body cut short is an error", "[client]") {
    CHECK(ask(ok_head + "Content-Length: 5\r\n\r\nabc").body_error == ErrorKind::unavailable);
    CHECK(ask(ok_head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab").body_error ==
          ErrorKind::unavailable);
    CHECK(ask(ok_head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").body_error ==
          ErrorKind::unavailable);
    // What is there together with the head is judged with it.
    CHECK(ask(ok_head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n").head_error ==
          ErrorKind::corrupt);
    const std::string late = "4000\r\n" + std::string(0x4000, 'x') + "\r\nzz\r\n";
    CHECK(ask(ok_head + "Transfer-Encoding: chunked\r\n\r\n" + late, false, "GET", 100'000)
              .body_error == ErrorKind::corrupt);
    CHECK(ask(ok_head).head_error == ErrorKind::unavailable);
    CHECK(ask("").head_error == ErrorKind::unavailable);
    CHECK(ask("SSH-2.0-OpenSSH\r\n").head_error == ErrorKind::corrupt);
}

TEST_CASE("a silent server is timed out", "[client]") {
    CHECK(ask("", true).head_error == ErrorKind::timed_out);
    CHECK(ask("HTTP/1.1 200", true).head_error == ErrorKind::timed_out);
    CHECK(ask(ok_head + "Content-Length: 5\r\n\r\nabc", true).body_error == ErrorKind::timed_out);
}

TEST_CASE("bounds hold for heads and whole bodies", "[client]") {
    const std::string big(2000, 'x');
    CHECK(ask(ok_head + "Content-Length: 2000\r\n\r\n" + big, true).body_error ==
          ErrorKind::resource_exhausted);
    CHECK(ask(ok_head + "\r\n" + big).body_error == ErrorKind::resource_exhausted);
    CHECK(ask(ok_head + "X: " + std::string(300'000, 'x') + "\r\n\r\n", true).head_error ==
          ErrorKind::corrupt);
}

namespace {

Task<void> echo_session(std::unique_ptr<FdStream> stream) {
    auto connection = ClientConnection::over(std::move(stream));
    for (int i = 0; i < 3; ++i) {
        ClientRequest request;
        request.method = "PUT";
        request.target = "/" + std::to_string(i);
        request.body = std::string(static_cast<std::size_t>(i) * 30'000, 'b');
        const std::string expected = "PUT " + request.target + " " + request.body;
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        CO_TRY(const std::string body, co_await response.read_body_all(1'000'000));
        CHECK(body == expected);
        CHECK(connection->reusable());
    }

    struct Pieces {
        int left = 5;
        std::size_t size = 0;

        static Task<std::size_t> next(Pieces& self, std::span<char> into) {
            co_await yield_now();
            if (self.left-- == 0) {
                co_return std::size_t{0};
            }
            std::fill_n(into.begin(), self.size, 'p');
            co_return self.size;
        }
    };

    for (const bool sized : {false, true}) {
        Pieces pieces;
        pieces.size = 7000;
        ClientRequest request;
        request.method = "POST";
        request.target = "/p";
        request.producer = [&pieces](std::span<char> into) { return Pieces::next(pieces, into); };
        if (sized) {
            request.body_bytes = 35'000;
        }
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        CO_TRY(const std::string body, co_await response.read_body_all(1'000'000));
        CHECK(body == "POST /p " + std::string(35'000, 'p'));
    }
    for (const char* target : {"", "/a b", "/a\r\nX: y"}) {
        ClientRequest broken;
        broken.target = target;
        CO_TRY(StreamPair pair, stream_pair_make());
        auto unused = ClientConnection::over(std::move(pair.first));
        const auto failed = co_await unused->send(std::move(broken));
        CHECK(failed.error().kind() == ErrorKind::invalid_argument);
    }
    Pieces liar;
    liar.size = 10;
    ClientRequest request;
    request.method = "POST";
    request.producer = [&liar](std::span<char> into) { return Pieces::next(liar, into); };
    request.body_bytes = 49;
    const auto refused = co_await connection->send(std::move(request));
    CHECK(refused.error().kind() == ErrorKind::internal);
    CHECK(!connection->reusable());
    co_return ok;
}

Task<void> refused_upload(std::unique_ptr<FdStream> stream) {
    auto connection = ClientConnection::over(std::move(stream));
    ClientRequest request;
    request.method = "PUT";
    request.body = std::string(20'000'000, 'x');
    CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
    CHECK(response.status() == 413);
    CO_TRY(const std::string body, co_await response.read_body_all(1000));
    CHECK(body.starts_with("{\"message\""));
    CHECK(!connection->reusable());
    co_return ok;
}

}  // namespace

TEST_CASE("a connection carries request after request, with bodies of every kind", "[client]") {
    CHECK(with_server(echo, {}, echo_session));
}

TEST_CASE("a server that refuses a body is heard", "[client]") {
    CHECK(with_server(echo, {}, refused_upload));
}

TEST_CASE("only a handed-over connection can be hijacked", "[client]") {
    auto body = [](std::string answer, std::string& got, bool& taken) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        Seen seen;
        TaskGroup group(GroupPolicy::independent);
        group.spawn(scripted(std::move(pair.second), std::move(answer), false, seen));
        auto connection = ClientConnection::over(std::move(pair.first));
        ClientRequest request;
        request.upgrade = "tcp";
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        auto hijacked = response.hijack();
        taken = hijacked.has_value();
        if (hijacked) {
            CO_TRY(const std::string rest, co_await read_to_end(*hijacked->stream));
            got = hijacked->buffered + rest;
        }
        co_return co_await group.join();
    };
    const auto run = [&](const std::string& answer) {
        std::string got;
        bool taken = false;
        Loop loop;
        CHECK(loop.run(body(answer, got, taken)));
        return taken ? got : "refused";
    };
    CHECK(run("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nbytes") ==
          "bytes");
    CHECK(run("HTTP/1.1 101 UPGRADED\r\n\r\nbytes") == "bytes");
    CHECK(run("HTTP/1.1 200 OK\r\n\r\nbytes") == "bytes");
    CHECK(run("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes") == "refused");
    CHECK(run("HTTP/1.1 404 Not Found\r\n\r\nbytes") == "refused");
}
