#include "http/websocket.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include <openssl/evp.h>

namespace davit {

namespace {

constexpr std::uint16_t code_protocol_error = 1002;
constexpr std::size_t length_16 = 126;  // The length is in the next 2 bytes,
constexpr std::size_t length_64 = 127;  // or 8.

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint8_t>(bytes[at]);
}

bool is_control(WebSocketOpcode opcode) {
    return static_cast<std::uint8_t>(opcode) >= 8;
}

bool is_known(std::uint8_t opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

/// Those that may be sent. Follows: RFC 6455 section 7.4.
bool is_close_code(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void number_append(std::string& out, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = bytes; i-- > 0;) {
        out.push_back(static_cast<char>(value >> (8 * i) & 255));
    }
}

}  // namespace

std::string websocket_accept(std::string_view key) {
    constexpr std::size_t key_chars = 24;
    const auto is_base64 = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '+' || c == '/';
    };
    if (key.size() != key_chars || !key.ends_with("==") ||
        !std::ranges::all_of(key.substr(0, key_chars - 2), is_base64)) {
        return "";
    }
    const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned digest_bytes = 0;
    const int hashed =
        ::EVP_Digest(text.data(), text.size(), digest.data(), &digest_bytes, ::EVP_sha1(), nullptr);
    assert(hashed == 1);
    static_cast<void>(hashed);
    std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> encoded{};
    const int chars =
        ::EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(digest_bytes));
    return {encoded.begin(), encoded.begin() + chars};
}

std::string websocket_header(WebSocketOpcode opcode, std::uint64_t payload_bytes) {
    constexpr std::uint8_t final = 0x80;
    std::string header(1, static_cast<char>(final | static_cast<std::uint8_t>(opcode)));
    if (payload_bytes < length_16) {
        header.push_back(static_cast<char>(payload_bytes));
    } else if (payload_bytes <= UINT16_MAX) {
        header.push_back(static_cast<char>(length_16));
        number_append(header, payload_bytes, 2);
    } else {
        header.push_back(static_cast<char>(length_64));
        number_append(header, payload_bytes, 8);
    }
    return header;
}

std::string websocket_close_frame(std::uint16_t code, std::string_view reason) {
    std::string payload;
    if (code != 0) {
        number_append(payload, code, 2);
        payload.append(reason);
    }
    return websocket_header(WebSocketOpcode::close, payload.size()) + payload;
}

WebSocketDecoder::Step WebSocketDecoder::feed(std::string_view bytes) {
    Step step;
    while (!bytes.empty() && !closed_) {
        if (in_payload_) {
            const std::size_t piece =
                static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, bytes.size()));
            payload_take(bytes.substr(0, piece), step);
            bytes.remove_prefix(piece);
            continue;
        }
        header_bytes_.push_back(bytes.front());
        bytes.remove_prefix(1);
        if (header_bytes_.size() >= 2 && header_bytes_.size() == header_bytes_needed()) {
            header_done(step);
        }
    }
    return step;
}

std::size_t WebSocketDecoder::header_bytes_needed() const {
    const std::uint8_t second = byte_at(header_bytes_, 1);
    const std::size_t length = second & 0x7F;
    return 2 +
           (length == length_16   ? 2U
            : length == length_64 ? 8U
                                  : 0U) +
           ((second & 0x80) != 0 ? 4U : 0U);
}

/// Follows: RFC 6455 section 5.2; each refusal is one of its MUSTs.
void WebSocketDecoder::header_done(Step& step) {
    const std::uint8_t first = byte_at(header_bytes_, 0);
    const std::uint8_t second = byte_at(header_bytes_, 1);
    const std::size_t short_length = second & 0x7F;
    const std::size_t extended = short_length == length_16 ? 2 : short_length == length_64 ? 8 : 0;
    std::uint64_t length = extended == 0 ? short_length : 0;
    for (std::size_t i = 0; i < extended; ++i) {
        length = length << 8 | byte_at(header_bytes_, 2 + i);
    }
    if ((first & 0x70) != 0 || !is_known(first & 0x0F)) {
        return refuse(step, "a frame of an extension that was not agreed on");
    }
    if ((second & 0x80) == 0) {
        return refuse(step, "a frame that is not masked");
    }
    const std::uint64_t least = extended == 2 ? length_16 : extended == 8 ? 0x10000 : 0;
    if (length < least || length >> 63 != 0) {
        return refuse(step, "a length that is not written as it must be");
    }
    header_ = {.final = (first & 0x80) != 0,
               .opcode = static_cast<WebSocketOpcode>(first & 0x0F),
               .payload_bytes = length};
    std::copy_n(header_bytes_.end() - 4, 4, header_.mask.begin());
    if (is_control(header_.opcode)) {
        if (!header_.final || length > control_bytes_max) {
            return refuse(step, "a control frame that is too long or in fragments");
        }
    } else {
        if ((header_.opcode == WebSocketOpcode::continuation) != in_message_) {
            return refuse(step, "a fragment that belongs to no message, or a message in another");
        }
        in_message_ = !header_.final;
    }
    header_bytes_.clear();
    control_.clear();
    mask_at_ = 0;
    payload_left_ = length;
    in_payload_ = true;
    payload_take({}, step);  // There may be none.
}

void WebSocketDecoder::payload_take(std::string_view masked, Step& step) {
    std::string& out = is_control(header_.opcode) ? control_ : step.data;
    for (const char c : masked) {
        out.push_back(static_cast<char>(c ^ header_.mask[mask_at_]));
        mask_at_ = (mask_at_ + 1) % header_.mask.size();
    }
    payload_left_ -= masked.size();
    if (payload_left_ == 0) {
        in_payload_ = false;
        control_done(step);
    }
}

void WebSocketDecoder::control_done(Step& step) {
    if (header_.opcode == WebSocketOpcode::ping) {
        step.ping = control_;
        return;
    }
    if (header_.opcode != WebSocketOpcode::close) {
        return;
    }
    if (control_.empty()) {
        closed_ = true;
        step.close.emplace();
        return;
    }
    const unsigned code =
        control_.size() < 2 ? 0U : byte_at(control_, 0) * 256U + byte_at(control_, 1);
    if (!is_close_code(code)) {
        return refuse(step, "a close frame with a code that there is not");
    }
    closed_ = true;
    step.close = Close{.code = static_cast<std::uint16_t>(code)};
}

void WebSocketDecoder::refuse(Step& step, std::string reason) {
    closed_ = true;
    step.close = Close{code_protocol_error, std::move(reason)};
}

}  // namespace davit
