// Promises: WebSocket frames mean the same however their bytes are cut; what is read is never more
// than what was sent; a connection ends once, with a code that may be sent.
#include "http/websocket.h"
#include "tests/fuzz/fuzz.h"

namespace davit::fuzz {

namespace {

/// All data, the pings' count where bytes come one by one, and the end.
std::string meaning(std::string_view bytes, std::size_t piece) {
    WebSocketDecoder decoder;
    std::string out;
    std::string end = "open";
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const WebSocketDecoder::Step step = decoder.feed(bytes.substr(at, piece));
        out += step.data;
        require(!step.ping || step.ping->size() <= 125, "a ping is small");
        if (step.close) {
            require(end == "open", "a connection ends once");
            end = std::to_string(step.close->code) + step.close->reason;
            const std::string frame = websocket_close_frame(step.close->code, step.close->reason);
            require(frame.size() <= 2 + 125, "a close frame is a control frame");
            require(step.close->code == 0 || (step.close->code >= 1000 && step.close->code < 5000),
                    "a close code may be sent");
        }
    }
    require(out.size() <= bytes.size(), "nothing is made up");
    return out + "|" + end;
}

void websocket(std::string_view input) {
    const std::string whole = meaning(input, input.size() + 1);
    for (const std::size_t piece : {1U, 3U, 11U}) {
        require(meaning(input, piece) == whole, "frames mean the same however cut");
    }
    const std::string key(input.substr(0, 24));
    const std::string accept = websocket_accept(key);
    require(accept.empty() || accept.size() == 28, "an answer is a SHA-1");
}

std::string masked(std::string_view first, std::string_view payload) {
    std::string out(first);
    out.push_back(static_cast<char>(0x80 | payload.size()));
    return out.append("\0\0\0\0", 4).append(payload);
}

const bool registered =
    add({"websocket",
         websocket,
         {masked("\x82", "hello") + masked("\x89", "ping") + masked("\x88", "\x03\xe8"),
          masked("\x01", "one") + masked(std::string_view("\0", 1), "two") + masked("\x8a", "") +
              masked("\x80", "three"),
          "dGhlIHNhbXBsZSBub25jZQ=="},
         {"\x82\xfe", "\x82\xff", "\x88\x80", "\x80", "\x09", "\xff"},
         4000});

}  // namespace

}  // namespace davit::fuzz
