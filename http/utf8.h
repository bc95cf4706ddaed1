#pragma once
/// UTF-8 as JSON needs it. Follows: RFC 3629 (no surrogates, no overlong forms, up to U+10FFFF).
#include <cstddef>
#include <string>
#include <string_view>

namespace davit {

/// U+FFFD, which stands for what could not be decoded.
inline constexpr std::string_view utf8_replacement = "\xEF\xBF\xBD";

/// Bytes of the well-formed sequence at text[at]; 0 if there is none. Needs at < text.size().
std::size_t utf8_sequence_bytes(std::string_view text, std::size_t at);

/// The text with U+FFFD for each byte that is part of no well-formed sequence, as Go's decoders do.
std::string utf8_repaired(std::string_view text);

}  // namespace davit
