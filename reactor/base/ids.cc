#include "reactor/base/ids.h"

#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <vector>

namespace davit {

std::string random_hex(std::size_t count) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::vector<unsigned char> bytes(count);
    // Up to 256 bytes are never cut short nor interrupted: getrandom(2).
    assert(count <= 256);
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    assert(got == static_cast<ssize_t>(count));
    static_cast<void>(got);
    std::string hex;
    hex.reserve(count * 2);
    for (const unsigned char byte : bytes) {
        hex.push_back(digits[byte >> 4]);
        hex.push_back(digits[byte & 15]);
    }
    return hex;
}

bool is_full_id(std::string_view text) {
    return text.size() == 64 && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

}  // namespace davit
