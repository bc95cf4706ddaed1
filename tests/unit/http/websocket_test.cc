// Goal: frames are read and written as RFC 6455 says, however they are cut; what breaks its rules
// ends the connection with 1002. Method: frames put together by hand, among them the RFC's own
// examples.
#include "http/websocket.h"

#include "tests/support/catch.h"

using namespace davit;

namespace {

/// A client's frame. Takes: first, the byte with FIN and the opcode.
std::string frame(int first, const std::string& payload) {
    const std::string mask = "\x37\xfa\x21\x3d";
    std::string out = websocket_header(WebSocketOpcode::binary, payload.size());
    out[0] = static_cast<char>(first);
    out[1] = static_cast<char>(out[1] | '\x80');
    out += mask;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
    }
    return out;
}

constexpr int text = 0x81;
constexpr int binary = 0x82;
constexpr int closing = 0x88;
constexpr int ping = 0x89;
constexpr int pong = 0x8A;

unsigned refusal(const std::string& bytes) {
    WebSocketDecoder decoder;
    const auto step = decoder.feed(bytes);
    REQUIRE(step.close);
    CHECK(decoder.feed(frame(binary, "late")).data.empty());
    return step.close->code;
}

}  // namespace

TEST_CASE("the handshake's answer is the RFC's", "[http][websocket]") {
    CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(websocket_accept("").empty());
    CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ").empty());
    CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZ\n==").empty());
}

TEST_CASE("lengths are written in as few bytes as they need", "[http][websocket]") {
    const auto header = [](std::uint64_t bytes) {
        return websocket_header(WebSocketOpcode::text, bytes);
    };
    CHECK(header(5) == "\x81\x05");
    CHECK(header(125) == "\x81\x7d");
    CHECK(header(126) == std::string("\x81\x7e\x00\x7e", 4));
    CHECK(header(65535) == "\x81\x7e\xff\xff");
    CHECK(header(65536) == std::string("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10));
    CHECK(websocket_close_frame(1000, "x") == std::string("\x88\x03\x03\xe8x", 5));
    CHECK(websocket_close_frame(0) == std::string("\x88\x00", 2));
}

TEST_CASE("messages are the stream of their payloads, however cut", "[http][websocket]") {
    // The first is the RFC's "Hello".
    const std::string bytes =
        "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" + frame(0x02, ", ") + frame(ping, "p1") +
        frame(0x00, std::string(300, 'x')) + frame(0x80, "!") + frame(pong, "unasked") +
        frame(binary, "") + frame(binary, std::string(70'000, 'y')) + frame(closing, "\x0f\xa0why");
    const std::string expected = "Hello, " + std::string(300, 'x') + "!" + std::string(70'000, 'y');
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
        WebSocketDecoder decoder;
        std::string data;
        std::string pinged;
        unsigned closed = 0;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            const auto step = decoder.feed(std::string_view(bytes).substr(at, piece));
            data += step.data;
            pinged += step.ping.value_or("");
            closed = step.close ? step.close->code : closed;
        }
        CHECK(data == expected);
        CHECK(pinged == "p1");
        CHECK(closed == 4000);
    }
}

TEST_CASE("a client that closes without a code is answered without one", "[http][websocket]") {
    WebSocketDecoder decoder;
    const auto step = decoder.feed(frame(text, "a") + frame(closing, ""));
    CHECK(step.data == "a");
    REQUIRE(step.close);
    CHECK(step.close->code == 0);
    CHECK(step.close->reason.empty());
}

TEST_CASE("what breaks the protocol is refused", "[http][websocket]") {
    CHECK(refusal(std::string("\x82\x01x", 3)) == 1002);  // Not masked: known before it is whole.
    CHECK(refusal(frame(0xC2, "x")) == 1002);             // RSV1.
    CHECK(refusal(frame(0x83, "x")) == 1002);             // No such opcode.
    CHECK(refusal(frame(0x8B, "x")) == 1002);
    CHECK(refusal(frame(0x80, "x")) == 1002);                       // Continues nothing.
    CHECK(refusal(frame(0x02, "x") + frame(binary, "x")) == 1002);  // A message in another one.
    CHECK(refusal(frame(0x09, "x")) == 1002);                       // A control frame in fragments.
    CHECK(refusal(frame(ping, std::string(126, 'x'))) == 1002);
    CHECK(refusal(frame(closing, "x")) == 1002);
    CHECK(refusal(frame(closing, "\x03\xed")) == 1002);  // 1005 must not be sent.
    CHECK(refusal(std::string("\x82\xfe\x00\x05mask", 8)) == 1002);
    CHECK(refusal(std::string("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x05mask", 14)) == 1002);
    CHECK(refusal("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask") == 1002);
}
