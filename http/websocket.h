#pragma once
/// WebSocket, a server's side: the handshake's answer and the frames.
///
/// Messages are read as the stream of their payloads: where one ends means nothing here, nor
/// whether it is text. So a frame may be of any size, and none is kept whole but the control
/// frames. Follows: RFC 6455 sections 4.2.2, 5 and 7.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace davit {

enum class WebSocketOpcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10,
};

/// Sec-WebSocket-Accept for a client's Sec-WebSocket-Key; "" if that is none (16 bytes in base64).
std::string websocket_accept(std::string_view key);

/// What goes before the payload of a whole message: a frame of its own, not masked.
std::string websocket_header(WebSocketOpcode opcode, std::uint64_t payload_bytes);

/// A whole close frame. Takes: code 0: without one; a reason of at most 123 bytes.
std::string websocket_close_frame(std::uint16_t code, std::string_view reason = {});

/// The frames that a client sends, cut anywhere.
class WebSocketDecoder {
  public:
    /// How to answer what ends the connection.
    struct Close {
        std::uint16_t code = 0;  // As websocket_close_frame() takes it.
        std::string reason = {};
    };

    struct Step {
        std::string data = {};                 // Payload of messages.
        std::optional<std::string> ping = {};  // The last one's payload: it wants a pong.
        std::optional<Close> close = {};       // The client closes, or breaks the protocol.
    };

    /// What these bytes say; nothing, after a close.
    Step feed(std::string_view bytes);

  private:
    static constexpr std::size_t control_bytes_max = 125;
    static constexpr std::size_t header_bytes_max = 14;

    struct Header {
        bool final = false;
        WebSocketOpcode opcode = WebSocketOpcode::continuation;
        std::uint64_t payload_bytes = 0;
        std::array<char, 4> mask{};
    };

    /// How many bytes of a header are needed to know its length, and then all of it.
    std::size_t header_bytes_needed() const;
    void header_done(Step& step);
    void payload_take(std::string_view masked, Step& step);
    void control_done(Step& step);
    void refuse(Step& step, std::string reason);

    std::string header_bytes_;
    Header header_;
    bool in_payload_ = false;
    bool in_message_ = false;  // A fragment came that was not the last.
    bool closed_ = false;
    std::uint64_t payload_left_ = 0;
    std::size_t mask_at_ = 0;
    std::string control_;
};

}  // namespace davit
