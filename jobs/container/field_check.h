#pragma once
/// What the checks of a request's fields share.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// The error of a field that says what cannot be: invalid_argument.
inline Error bad(std::string message) {
    return Error(ErrorKind::invalid_argument, std::move(message));
}

inline bool is_one_of(std::string_view word, std::span<const std::string_view> known) {
    return std::ranges::find(known, word) != known.end();
}

/// Of either family, without a prefix length or a zone.
inline bool is_address(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> address{};
    return ::inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

}  // namespace davit
