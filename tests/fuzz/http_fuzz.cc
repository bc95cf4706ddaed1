// Promises: an HTTP message means the same however its bytes are cut, in the parser and through a
// whole server; URLs, queries and percent-coding survive a round trip; nothing crashes.
#include "http/codec.h"
#include "http/router.h"
#include "http/url.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/http/http_support.h"

namespace davit::fuzz {

namespace {

constexpr std::size_t header_bytes_max = 2000;

/// Everything that a stream of messages says. What came of a message that turns out broken does not
/// count: pieces show more of it than the whole does.
std::string meaning(MessageParser::Type type, std::string_view bytes, std::size_t piece) {
    MessageParser parser(type, header_bytes_max);
    std::string out;
    std::string pending;
    std::string body;
    std::size_t at = 0;
    for (;;) {
        const auto step = parser.step(pending);
        if (!step) {
            return out + "error " + std::string(error_kind_name(step.error().kind()));
        }
        body.append(step->body);
        pending.erase(0, step->consumed);
        if (parser.message_done()) {
            std::string fields;
            const bool request = type == MessageParser::Type::request;
            (request ? parser.request().headers : parser.response().headers).append_to(fields);
            out += parser.request().method + parser.request().target +
                   std::to_string(parser.response().status) + parser.response().reason + fields +
                   body + (parser.keep_alive() ? "+\n" : "-\n");
            body.clear();
            parser.next();
        } else if (step->consumed == 0 && step->body.empty()) {
            if (at == bytes.size()) {
                const Result<void> finished = parser.finish();
                return out + body + (finished ? "end" : "cut");
            }
            pending.append(bytes.substr(at, piece));
            at += std::min(piece, bytes.size() - at);
        }
    }
}

std::size_t piece_of(std::string_view input) {
    return std::hash<std::string_view>{}(input) % 40 + 1;
}

void codec(std::string_view input) {
    for (const auto type : {MessageParser::Type::request, MessageParser::Type::response}) {
        const std::string whole = meaning(type, input, std::max<std::size_t>(input.size(), 1));
        require(meaning(type, input, piece_of(input)) == whole, "pieces mean what the whole means");
        require(meaning(type, input, 1) == whole, "bytes mean what the whole means");
    }
}

void server(std::string_view input) {
    ServerOptions options;
    options.header_bytes_max = header_bytes_max;
    const std::string bytes(input);
    const std::string whole = test::without_dates(test::converse(test::echo, bytes, options));
    require(whole.find("client failed") == std::string::npos, "the server answers or ends");
    const std::string slow = test::without_dates(test::converse_slowly(test::echo, bytes, options));
    require(whole == slow, "a slow client gets the same answers");
}

void texts(std::string_view input) {
    const Query query = Query::parse(input);
    const std::string text = query.text();
    require(Query::parse(text).text() == text, "a query survives its own text");
    static_cast<void>(query.integer("n"));
    static_cast<void>(query.boolean("n"));
    require(percent_decode(percent_encode(input)).has_value(), "encoded text decodes");
    require(*percent_decode(percent_encode(input)) == input, "encoded text decodes to itself");
    if (const auto url = Url::parse(input)) {
        const auto again = Url::parse(url->text());
        require(again && again->text() == url->text(), "a URL survives its own text");
        const auto resolved = url->resolve(input);
        require(resolved && resolved->same_origin(*url), "a URL resolves against itself");
    }
    const Url base = *Url::parse("http://h/a/b");
    if (const auto resolved = base.resolve(input)) {
        require(Url::parse(resolved->text()).has_value(), "what was resolved is a URL");
    }
    Router router;
    router.add("GET", "/images/{name...}/json", 0);
    router.add("GET", "/{a}/{b}", 1);
    static_cast<void>(router.match("GET", input));
}

const std::vector<std::string> words = {"\r\n",
                                        "\r\n\r\n",
                                        "0\r\n\r\n",
                                        "Content-Length: ",
                                        "5",
                                        "Transfer-Encoding: chunked\r\n",
                                        "Connection: close\r\n",
                                        "Upgrade: tcp\r\nConnection: Upgrade\r\n",
                                        "HTTP/1.0",
                                        "Expect: 100-continue\r\n",
                                        "HTTP/1.1 200 OK\r\n",
                                        "%2F",
                                        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                                        " ",
                                        ":",
                                        "\t",
                                        ",",
                                        "ffffffffffffffff\r\n",
                                        "Host: h\r\n",
                                        "HTTP/1.1 101 X\r\n"};

const std::vector<std::string> messages = {
    "GET /v1.50/containers/json?all=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: Docker-Client/28\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    "GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /d HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    "Content-Length: 2\r\n\r\n{}stream",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end",
};

const bool registered =
    add({"http_codec", codec, messages, words, 5000}) &&
    add({"http_server", server, messages, words, 300}) &&
    add({"http_texts",
         texts,
         {"a=1&b=x%20y+z&t=1&t=2&n=-5",
          "https://user:p%40@Host.example:5000/v2/x?y=z#f",
          "/images/a/b%2Fc/json",
          "http://[::1]:80/../a/./b/..",
          "//host/x",
          "../x?y"},
         {"%2F", "%", "../", "://", "[", "]", "@", "?", "#", "&", "=", "http://", ":80"},
         20'000});

}  // namespace

}  // namespace davit::fuzz
