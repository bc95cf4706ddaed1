#include "http/registry/base64.h"

#include <cstdint>

namespace davit {

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of a digit, or -1.
int digit_value(char c) {
    if (c == '-') {
        c = '+';
    } else if (c == '_') {
        c = '/';
    }
    const std::size_t place = alphabet.find(c);
    return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            out.push_back(i <= count ? alphabet[group >> (18 - 6 * i) & 63] : '=');
        }
    }
    return out;
}

Result<std::string> base64_decode(std::string_view text) {
    while (!text.empty() && text.back() == '=') {
        text.remove_suffix(1);
    }
    std::string out;
    out.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const int value = digit_value(c);
        if (value < 0) {
            return Error(ErrorKind::invalid_argument, "not base64");
        }
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>(bits >> count & 0xff));
        }
    }
    // What is left over is padding of less than one digit.
    if (count == 6) {
        return Error(ErrorKind::invalid_argument, "not base64: cut short");
    }
    return out;
}

}  // namespace davit
