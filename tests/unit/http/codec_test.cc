// Goal: the parser gives the same messages however the bytes are cut, and refuses what is
// malformed. Method: corpora of messages, parsed whole and in every piece size.
#include "http/codec.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

/// Parse a stream of messages in pieces of so many bytes; a text that says everything about them.
std::string parse(MessageParser::Type type, std::string_view bytes, std::size_t piece) {
    MessageParser parser(type, 1024);
    std::string out;
    std::string pending;
    std::string body;
    std::size_t at = 0;
    for (;;) {
        auto step = parser.step(pending);
        if (!step) {
            return out + "error " + std::string(error_kind_name(step.error().kind()));
        }
        body.append(step->body);
        pending.erase(0, step->consumed);
        if (parser.message_done()) {
            const bool request = type == MessageParser::Type::request;
            const Headers& headers = request ? parser.request().headers : parser.response().headers;
            out += request
                       ? parser.request().method + " " + parser.request().target
                       : std::to_string(parser.response().status) + " " + parser.response().reason;
            for (const auto& field : headers) {
                out += " [" + field.name + "=" + field.value + "]";
            }
            out += " body=" + body + (parser.keep_alive() ? " keep\n" : " close\n");
            body.clear();
            parser.next();
            continue;
        }
        if (step->consumed > 0 || !step->body.empty()) {
            continue;
        }
        if (at == bytes.size()) {
            const Result<void> finished = parser.finish();
            if (finished && parser.message_done()) {
                continue;
            }
            return out + (finished ? "end" : "cut");
        }
        const std::string_view next = bytes.substr(at, piece);
        pending.append(next);
        at += next.size();
    }
}

const std::string requests =
    "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nX-Space:  v w \t\r\n\r\n"
    "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;ext=1\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"
    "\r\nPOST /d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    "Content-Length: 2\r\n\r\nhi"
    "GET /e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    "HEAD /f HTTP/1.1\r\nConnection: close\r\n\r\n";

const std::string responses =
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    "HTTP/1.1 204 No Content\r\n\r\n"
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
    "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"
    "HTTP/1.1 200 OK\r\n\r\nup to the end";

}  // namespace

TEST_CASE("requests parse alike in pieces of any size", "[codec]") {
    const std::string whole = parse(MessageParser::Type::request, requests, requests.size());
    CHECK(whole ==
          "GET /a?b=c [Host=x] [X-Empty=] [X-Space=v w] body= keep\n"
          "POST /b [Host=x] [Content-Length=5] body=hello keep\n"
          "POST /c [Host=x] [Transfer-Encoding=chunked] body=hello0123456789abcdef keep\n"
          "POST /d [Host=x] [Connection=Upgrade] [Upgrade=tcp] [Content-Length=2] body=hi keep\n"
          "GET /e [Connection=keep-alive] body= keep\n"
          "HEAD /f [Connection=close] body= close\n"
          "end");
    for (std::size_t piece = 1; piece < requests.size(); ++piece) {
        CHECK(parse(MessageParser::Type::request, requests, piece) == whole);
    }
}

TEST_CASE("responses parse alike in pieces of any size", "[codec]") {
    const std::string whole = parse(MessageParser::Type::response, responses, responses.size());
    CHECK(whole ==
          "100 Continue body= keep\n"
          "200 OK [Content-Length=3] body=abc keep\n"
          "204 No Content body= keep\n"
          "304 Not Modified [Content-Length=77] body= keep\n"
          "206 Partial Content [Transfer-Encoding=chunked] body=xyz keep\n"
          "101 UPGRADED [Connection=Upgrade] [Upgrade=tcp] body= keep\n"
          "404  [Content-Length=0] body= keep\n"
          "200 OK body=up to the end close\n"
          "end");
    for (std::size_t piece = 1; piece < responses.size(); ++piece) {
        CHECK(parse(MessageParser::Type::response, responses, piece) == whole);
    }
}

TEST_CASE("a cut-off message is not a message", "[codec]") {
    const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (const std::string& text : {length, chunked, std::string("HTTP/1.1 20")}) {
        CHECK(parse(MessageParser::Type::response, text, 7) == "cut");
    }
    CHECK(parse(MessageParser::Type::request, "", 1) == "end");
}

TEST_CASE("malformed messages are refused", "[codec]") {
    const std::string cases[] = {
        "\x16\x03\x01\x02",  // A TLS hello.
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\nY: b\n\n",
        "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET /\r\n\r\n",
        "NONSENSE / HTTP/1.1\r\n\r\n",
    };
    for (const std::string& text : cases) {
        INFO(text);
        CHECK(parse(MessageParser::Type::request, text, text.size()) == "error invalid_argument");
        CHECK(parse(MessageParser::Type::request, text, 1) == "error invalid_argument");
    }
}

TEST_CASE("a head has a limit, a body does not", "[codec]") {
    const std::string fill(1000, 'a');
    const std::string large = "GET / HTTP/1.1\r\nX: " + fill + fill + "\r\n\r\n";
    CHECK(parse(MessageParser::Type::request, large, large.size()) == "error resource_exhausted");
    CHECK(parse(MessageParser::Type::request, large, 10) == "error resource_exhausted");
    const std::string target = "GET /" + fill + fill;
    CHECK(parse(MessageParser::Type::request, target, target.size()) == "error resource_exhausted");
    const std::string body = "POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n" + fill + fill + fill;
    CHECK(parse(MessageParser::Type::request, body, body.size()).ends_with("keep\nend"));
    // Exactly at the limit.
    std::string exact = "GET / HTTP/1.1\r\nX: \r\n\r\n";
    exact.insert(exact.size() - 4, std::string(1024 - exact.size(), 'b'));
    CHECK(parse(MessageParser::Type::request, exact, exact.size()).ends_with("keep\nend"));
}

TEST_CASE("chunk extensions and trailers have a limit, small chunks do not", "[codec]") {
    const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string fill(100'000, 'a');
    for (const std::size_t piece : {1000U, 200'000U}) {
        CAPTURE(piece);
        const std::string extension = head + "1;x=" + fill + "\r\na\r\n0\r\n\r\n";
        CHECK(parse(MessageParser::Type::request,
                    head + "1\r\na\r\n" + extension.substr(head.size()),
                    piece) == "error resource_exhausted");
        const std::string trailer = head + "1\r\na\r\n0\r\nX: " + fill + "\r\n\r\n";
        CHECK(parse(MessageParser::Type::request, trailer, piece) == "error resource_exhausted");
    }
    std::string small = head;
    for (int i = 0; i < 30'000; ++i) {
        small += "1\r\na\r\n";
    }
    small += "0\r\n\r\n";
    CHECK(parse(MessageParser::Type::request, small, 4096).ends_with("keep\nend"));
}

TEST_CASE("the buffer keeps bytes across growing, moving and shrinking", "[codec]") {
    InBuffer buffer;
    std::string model;
    const auto add = [&](std::size_t count) {
        const std::span<char> space = buffer.space(count);
        REQUIRE(space.size() >= count);
        for (std::size_t i = 0; i < count; ++i) {
            space[i] = static_cast<char>('a' + (model.size() + i) % 26);
            model.push_back(space[i]);
        }
        buffer.commit(count);
    };
    const auto take = [&](std::size_t count) {
        buffer.consume(count);
        model.erase(0, count);
    };
    for (int round = 0; round < 20; ++round) {
        add(static_cast<std::size_t>(700 * round + 13));
        CHECK(buffer.view() == model);
        take(model.size() / 2);
        CHECK(buffer.view() == model);
        buffer.shrink();
        CHECK(buffer.view() == model);
    }
    take(model.size());
    buffer.shrink();
    CHECK(buffer.empty());
    CHECK(buffer.space(1).size() == InBuffer::small_bytes);
}
