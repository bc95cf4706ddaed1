#pragma once
/// What of a text stands for itself in a JSON string: ASCII, but no quote, backslash or control
/// character. Eight bytes at a time: most texts are.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace davit {

constexpr bool json_is_plain(char byte) {
    return byte >= ' ' && byte != '"' && byte != '\\';  // Above ASCII a char is below 0.
}

static_assert(!json_is_plain('\x80'), "char is signed here");

/// The same of eight bytes.
inline bool json_is_plain(const char* bytes) {
    constexpr auto each_byte = [](unsigned char byte) { return 0x0101010101010101ULL * byte; };
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    // A byte's high bit is set where the byte has it, is below ' ', or is one of the two. What a
    // borrow sets as well stands behind such a byte.
    const std::uint64_t quote = (word ^ each_byte('"')) - each_byte(1);
    const std::uint64_t backslash = (word ^ each_byte('\\')) - each_byte(1);
    const std::uint64_t control = word - each_byte(' ');
    return ((word | quote | backslash | control) & each_byte(0x80)) == 0;
}

/// How many bytes at the beginning of text are plain.
inline std::size_t json_plain_prefix(std::string_view text) {
    std::size_t at = 0;
    while (at + 8 <= text.size() && json_is_plain(text.data() + at)) {
        at += 8;
    }
    while (at < text.size() && json_is_plain(text[at])) {
        ++at;
    }
    return at;
}

}  // namespace davit
