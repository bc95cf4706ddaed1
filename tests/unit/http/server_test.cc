// Goal: the server answers, keeps alive, bounds and cuts off as HTTP/1.1 and Docker's clients want.
// Method: raw bytes over a socket pair, and the bytes that come back.
#include "http/server.h"

#include <algorithm>

#include "reactor/async_event.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

const std::string get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

Task<void> ping(ServerRequest&, ServerResponse& response) {
    co_return co_await response.send(200, "text/plain", "OK");
}

Task<void> stream_three(ServerRequest&, ServerResponse& response) {
    response.headers().add("X-Mine", "1");
    CO_CHECK(co_await response.begin(200, "application/json"));
    CO_CHECK(co_await response.write("one"));
    CO_CHECK(co_await response.write(""));
    const std::string big(20'000, 'x');
    CO_CHECK(co_await response.write(big));
    co_return co_await response.end();
}

}  // namespace

TEST_CASE("a response has its head and body, and the connection lives on", "[server]") {
    ServerOptions options;
    options.base_headers.add("Api-Version", "1.50");
    const std::string answer = converse(ping, get + get, std::move(options));
    const std::string one =
        "HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nContent-Type: text/plain\r\nContent-Length: "
        "2\r\n\r\nOK";
    CHECK(count_of(answer, "Date: ") == 2);
    CHECK(without_dates(answer) == one + one);
}

TEST_CASE("pipelined requests are answered in order, however they arrive", "[server]") {
    const std::string bytes = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + get +
                              "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n" +
                              "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get;
    const std::string whole = without_dates(converse(echo, bytes));
    CHECK(count_of(whole, "HTTP/1.1 200 OK") == 4);
    CHECK(count_of(whole, "POST /1 abc") == 1);
    CHECK(whole.find("POST /1 abc") < whole.find("GET /x "));
    CHECK(whole.find("GET /x ") < whole.find("POST /2 def"));
    CHECK(whole.ends_with("Connection: close\r\n\r\nGET /last "));
    CHECK(without_dates(converse_slowly(echo, bytes)) == whole);
}

TEST_CASE("a streamed response is chunked", "[server]") {
    const std::string answer = without_dates(converse(stream_three, get + get));
    const std::string one =
        "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n4e20\r\n" +
        std::string(20'000, 'x') + "\r\n0\r\n\r\n";
    CHECK(answer == one + one);
}

TEST_CASE("HTTP/1.0 gets no chunks, and lives on only if it asks", "[server]") {
    const std::string stream =
        without_dates(converse(stream_three, "GET / HTTP/1.0\r\n\r\n" + get));
    CHECK(stream.starts_with("HTTP/1.0 200 OK\r\n"));
    CHECK(stream.find("chunked") == std::string::npos);
    CHECK(stream.find("Connection: close\r\n\r\none" + std::string(100, 'x')) != std::string::npos);
    CHECK(stream.ends_with("xxx"));
    const std::string kept =
        converse(ping, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    CHECK(count_of(kept, "HTTP/1.0 200 OK") == 2);
    CHECK(count_of(kept, "Connection: keep-alive") == 1);
    CHECK(count_of(kept, "Connection: close") == 1);
}

TEST_CASE("HEAD, 204 and 304 have no body", "[server]") {
    const std::string head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    const std::string sent = converse(ping, head + head);
    CHECK(count_of(sent, "Content-Length: 2\r\n\r\nHTTP/1.1") == 1);
    CHECK(sent.ends_with("Content-Length: 2\r\n\r\n"));
    const std::string streamed = converse(stream_three, head + head);
    CHECK(count_of(streamed, "Transfer-Encoding: chunked\r\n\r\nHTTP/1.1") == 1);
    CHECK(streamed.ends_with("chunked\r\n\r\n"));
    auto empty = [](ServerRequest& request, ServerResponse& response) -> Task<void> {
        const int status = request.head().path() == "/304" ? 304 : 204;
        co_return co_await response.send(status, "", "ignored");
    };
    const std::string none = converse(empty, get + "GET /304 HTTP/1.1\r\nHost: h\r\n\r\n" + get);
    CHECK(count_of(none, "HTTP/1.1 204 No Content") == 2);
    CHECK(count_of(none, "HTTP/1.1 304 Not Modified") == 1);
    CHECK(count_of(none, "ignored") == 0);
    CHECK(count_of(none, "Content-Length") == 0);
}

TEST_CASE("a handler that says nothing is a 200, one that fails an error", "[server]") {
    auto silent = [](ServerRequest&, ServerResponse&) -> Task<void> { co_return ok; };
    CHECK(count_of(converse(silent, get + get), "200 OK") == 2);
    auto failing = [](ServerRequest&, ServerResponse& response) -> Task<void> {
        response.headers().add("X-Lost", "1");
        co_return Error(ErrorKind::not_found, "No such \"thing\"");
    };
    const std::string plain = converse(failing, get);
    CHECK(plain.starts_with("HTTP/1.1 500 "));
    CHECK(plain.ends_with("\r\n\r\n{\"message\":\"No such \\\"thing\\\"\"}\n"));
    CHECK(plain.find("X-Lost") == std::string::npos);
    ServerOptions options;
    options.on_error = [](const Error& error) {
        ErrorResponse response;
        response.status = error.kind() == ErrorKind::not_found ? 404 : 500;
        response.body = "mapped";
        return response;
    };
    const std::string mapped = converse(failing, get + get, std::move(options));
    CHECK(count_of(mapped, "HTTP/1.1 404 Not Found") == 2);
}

TEST_CASE("an error in the middle of a stream cuts the connection", "[server]") {
    auto failing = [](ServerRequest&, ServerResponse& response) -> Task<void> {
        CO_CHECK(co_await response.begin(200, "text/plain"));
        CO_CHECK(co_await response.write("part"));
        co_return Error(ErrorKind::internal, "broken");
    };
    const std::string answer = converse(failing, get + get);
    CHECK(count_of(answer, "HTTP/1.1") == 1);
    CHECK(answer.ends_with("4\r\npart\r\n"));
}

TEST_CASE("malformed requests get 400 and the connection's end", "[server]") {
    const std::string cases[] = {
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (const std::string& bytes : cases) {
        INFO(bytes);
        const std::string answer = converse(ping, bytes + get);
        CHECK(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        CHECK(count_of(answer, "HTTP/1.1") == 1);
        CHECK(count_of(answer, "Connection: close") == 1);
        CHECK(count_of(answer, "\r\n\r\n{\"message\":\"") == 1);
    }
    // In the body: the handler sees the error and may still not answer 500 for it.
    const std::string chunk =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    CHECK(converse(echo, chunk).starts_with("HTTP/1.1 400 "));
    const std::string cut = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc";
    CHECK(converse(echo, cut).starts_with("HTTP/1.1 400 "));
    CHECK(converse(ping, "GET / HT").empty());
}

TEST_CASE("heads and bodies have limits", "[server]") {
    ServerOptions options;
    options.header_bytes_max = 1000;
    const std::string large =
        "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n";
    const std::string refused = converse(ping, large, options);
    CHECK(refused.starts_with("HTTP/1.1 431 "));
    CHECK(count_of(refused, "{\"message\":\"") == 1);

    auto small = [](ServerRequest& request, ServerResponse& response) -> Task<void> {
        CO_TRY(const std::string body, co_await request.read_body_all(10));
        co_return co_await response.send(200, "", body);
    };
    const std::string fits = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
    CHECK(converse(small, fits).ends_with("0123456789"));
    const std::string stated =
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890";
    CHECK(converse(small, stated).starts_with("HTTP/1.1 413 "));
    const std::string chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "a\r\n0123456789\r\n1\r\n0\r\n0\r\n\r\n";
    CHECK(converse(small, chunked).starts_with("HTTP/1.1 413 "));
    ServerOptions bounded;
    bounded.body_bytes_max = 10;
    CHECK(converse(echo, chunked, bounded).starts_with("HTTP/1.1 413 "));
    CHECK(converse(echo, stated, bounded).starts_with("HTTP/1.1 413 "));
    CHECK(converse(echo, fits, bounded).ends_with("0123456789"));
    // Megabytes behind the refusal: the answer still arrives.
    const std::string flood = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n" +
                              std::string(4'000'000, 'x');
    CHECK(converse(small, flood).starts_with("HTTP/1.1 413 "));
}

TEST_CASE("trailers and chunk extensions have limits", "[server]") {
    const std::string fill(100'000, 'x');
    const std::string head =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    const std::string trailer = head + "0\r\nX: " + fill + "\r\n\r\n";
    const std::string trailers = head + "0\r\n" + [] {
        std::string lines;
        for (int i = 0; i < 20'000; ++i) {
            lines += "X: y\r\n";
        }
        return lines + "\r\n";
    }();
    const std::string extension = head + "1;x=" + fill + "\r\na\r\n0\r\n\r\n";
    for (const std::string& request : {trailer, trailers, extension}) {
        const std::string refused = converse(echo, request + get);
        CHECK(refused.starts_with("HTTP/1.1 431 "));
        CHECK(count_of(refused, "HTTP/1.1 ") == 1);
        CHECK(count_of(refused, "Connection: close\r\n") == 1);
        // Who answers without looking at the body does so; the connection ends all the same.
        CHECK(count_of(converse(ping, request + get), "HTTP/1.1 200 ") == 1);
    }
    CHECK(count_of(converse(echo, head + "0\r\nX: y\r\n\r\n" + get), "HTTP/1.1 200 ") == 2);
}

TEST_CASE("an unread body is skipped, or ends the connection", "[server]") {
    const std::string some = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
                             std::string(100'000, 'x') + get;
    CHECK(count_of(converse(ping, some), "200 OK") == 2);
    const std::string much = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" +
                             std::string(1'000'000, 'x') + get;
    CHECK(count_of(converse(ping, much), "200 OK") == 1);
}

TEST_CASE("a body is pulled in pieces of the reader's size", "[server]") {
    auto pull = [](ServerRequest& request, ServerResponse& response) -> Task<void> {
        std::string all;
        std::array<char, 7> piece{};
        CHECK(request.has_body());
        for (;;) {
            CO_TRY(const std::size_t got, co_await request.read_body(piece));
            if (got == 0) {
                break;
            }
            all.append(piece.data(), got);
        }
        CO_TRY(const std::size_t again, co_await request.read_body(piece));
        CHECK(again == 0);
        co_return co_await response.send(200, "", std::to_string(all.size()));
    };
    const std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" +
                              std::string(200'000, 'x') + get;
    auto either = [pull](ServerRequest& request, ServerResponse& response) -> Task<void> {
        return request.has_body() ? pull(request, response) : ping(request, response);
    };
    const std::string answer = converse(either, bytes);
    CHECK(count_of(answer, "\r\n\r\n200000HTTP/1.1") == 1);
    CHECK(answer.ends_with("OK"));
}

TEST_CASE("Expect: 100-continue is answered when the body is wanted", "[server]") {
    const std::string head =
        "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    auto client = [](std::unique_ptr<FdStream> stream, std::string first) -> Task<void> {
        CO_CHECK(co_await stream->write(first));
        CO_TRY(const std::string interim, co_await read_until(*stream, "\r\n\r\n"));
        CHECK(interim == "HTTP/1.1 100 Continue\r\n\r\n");
        CO_CHECK(co_await stream->write("abc"));
        CO_CHECK(co_await stream->shutdown_write());
        CO_TRY(const std::string answer, co_await read_to_end(*stream));
        CHECK(answer.ends_with("POST /b abc"));
        co_return ok;
    };
    CHECK(with_server(echo, {}, [&](auto stream) { return client(std::move(stream), head); }));
    // Sent without waiting: no interim answer is due.
    CHECK(converse(echo, head + "abc").starts_with("HTTP/1.1 200"));
    // Not wanted: no interim answer, and the connection ends, since a body may or may not come.
    const std::string refused = converse(ping, head);
    CHECK(refused.starts_with("HTTP/1.1 200"));
    CHECK(count_of(refused, "Connection: close") == 1);
}

TEST_CASE("slow and idle clients are cut off", "[server]") {
    ServerOptions options;
    options.header_timeout = 20ms;
    options.idle_timeout = 20ms;
    options.body_timeout = 20ms;
    auto client =
        [](std::unique_ptr<FdStream> stream, std::string first, std::string& answer) -> Task<void> {
        auto trickle = [](FdStream& to) -> Task<void> {
            for (;;) {
                CO_CHECK(co_await to.write("x"));
                CO_CHECK(co_await sleep_for(1ms));
            }
        };
        CO_CHECK(co_await stream->write(first));
        TaskGroup group(GroupPolicy::independent);
        if (first.ends_with("X: ")) {
            group.spawn(trickle(*stream));
        }
        CO_TRY(answer, co_await read_to_end(*stream));
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return ok;
    };
    const auto run = [&](const std::string& first) {
        std::string answer;
        CHECK(with_server(
            echo, options, [&](auto stream) { return client(std::move(stream), first, answer); }));
        return answer;
    };
    CHECK(run("").empty());
    CHECK(run("GET / HTTP/1.1\r\nX: ").starts_with("HTTP/1.1 408 "));
    CHECK(run("GET / HTTP/1.1\r\nHost: h\r\n").starts_with("HTTP/1.1 408 "));
    CHECK(run("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
              .starts_with("HTTP/1.1 408 "));
    const std::string idle = run(get);
    CHECK(idle.ends_with("GET /x "));
    CHECK(count_of(idle, "HTTP/1.1") == 1);
}

TEST_CASE("a client that does not read holds the handler", "[server]") {
    struct Progress {
        std::size_t chunks = 0;
        bool failed = false;
    };

    Progress progress;
    auto flood = [](ServerResponse& response, Progress& out) -> Task<void> {
        CO_CHECK(co_await response.begin(200, "text/plain"));
        const std::string chunk(64 * 1024, 'x');
        for (int i = 0; i < 10'000; ++i) {
            const Result<void> written = co_await response.write(chunk);
            if (!written) {
                out.failed = true;
                co_return written;
            }
            ++out.chunks;
        }
        co_return ok;
    };
    auto client = [](std::unique_ptr<FdStream> stream, Progress& seen) -> Task<void> {
        CO_CHECK(co_await stream->write("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
        std::size_t before = 1;
        while (seen.chunks != before) {  // Until the handler makes no more progress.
            before = seen.chunks;
            CO_CHECK(co_await sleep_for(5ms));
        }
        CHECK(seen.chunks < 64);  // The socket's buffers and no more.
        CHECK(!seen.failed);
        std::vector<char> buffer(1024 * 1024);
        for (std::size_t total = 0; total < 8 * buffer.size();) {
            CO_TRY(const std::size_t got, co_await stream->read(buffer));
            total += got;
        }
        CHECK(seen.chunks > before);
        co_return ok;  // And goes away: the handler's write fails.
    };
    auto handler = [&](ServerRequest&, ServerResponse& response) {
        return flood(response, progress);
    };
    CHECK(
        with_server(handler, {}, [&](auto stream) { return client(std::move(stream), progress); }));
    CHECK(progress.failed);
}
