#include "reactor/base/byte_size.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace davit {

namespace {

/// A decimal fraction without sign or exponent at the start of text, taken off it.
std::optional<double> number_take(std::string_view& text) {
    double value = 0;
    const auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (code != std::errc() || text.front() == '-' || !std::isfinite(value)) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

/// "", "b", "k", "kb", "kib", ... in any case: as a factor.
std::optional<double> unit_factor(std::string_view text) {
    constexpr std::string_view prefixes = "bkmgtp";
    const auto is = [&text](std::size_t at, char letter) {
        return at < text.size() && (text[at] | 0x20) == letter;
    };
    if (text.empty()) {
        return 1;
    }
    const std::size_t power = prefixes.find(static_cast<char>(text.front() | 0x20));
    if (power == std::string_view::npos) {
        return std::nullopt;
    }
    const bool plain = text.size() == 1;
    const bool named = power != 0 && ((text.size() == 2 && is(1, 'b')) ||
                                      (text.size() == 3 && is(1, 'i') && is(2, 'b')));
    return plain || named ? std::optional(std::ldexp(1.0, static_cast<int>(10 * power)))
                          : std::nullopt;
}

}  // namespace

Result<std::int64_t> byte_size_parse(std::string_view text) {
    constexpr double bytes_max = 9.2e18;
    std::string_view rest = text;
    const std::optional<double> number = text.empty() ? std::nullopt : number_take(rest);
    if (number && rest.starts_with(' ')) {
        rest.remove_prefix(1);
    }
    const std::optional<double> factor = number ? unit_factor(rest) : std::nullopt;
    if (!factor || *number * *factor >= bytes_max) {
        return Error(ErrorKind::invalid_argument, "invalid size: '" + std::string(text) + "'");
    }
    return static_cast<std::int64_t>(*number * *factor);
}

}  // namespace davit
