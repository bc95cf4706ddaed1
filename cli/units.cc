#include "cli/units.h"

#include <time.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "cli/invalid.h"
#include "reactor/base/byte_size.h"

namespace davit::cli {

namespace {

/// A decimal fraction without sign or exponent at the start of text, taken off it.
std::optional<double> decimal_take(std::string_view& text) {
    double value = 0;
    const auto [end, code] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (code != std::errc() || text.front() == '-' || !std::isfinite(value)) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

/// Exactly `digits` digits at the start of text, taken off it.
std::optional<int> digits_take(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) {
        return std::nullopt;
    }
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return std::nullopt;
        }
        value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) {
        return false;
    }
    text.remove_prefix(prefix.size());
    return true;
}

/// A date with as much of a time as is there, and maybe a zone.
std::optional<WallTime> date_parse(std::string_view text) {
    tm fields{};
    std::int64_t nanoseconds = 0;
    const auto year = digits_take(text, 4);
    const bool first_dash = take(text, "-");
    const auto month = digits_take(text, 2);
    const bool second_dash = take(text, "-");
    const auto day = digits_take(text, 2);
    if (!year || !first_dash || !month || !second_dash || !day) {
        return std::nullopt;
    }
    fields.tm_year = *year - 1900;
    fields.tm_mon = *month - 1;
    fields.tm_mday = *day;
    if (take(text, "T")) {
        const std::array<int*, 3> parts{&fields.tm_hour, &fields.tm_min, &fields.tm_sec};
        for (std::size_t i = 0; i < parts.size() && (i == 0 || take(text, ":")); ++i) {
            const auto value = digits_take(text, 2);
            if (!value) {
                return std::nullopt;
            }
            *parts[i] = *value;
        }
        if (take(text, ".")) {
            std::int64_t scale = 100'000'000;
            const std::size_t before = text.size();
            while (const auto digit = digits_take(text, 1)) {
                nanoseconds += *digit * scale;
                scale /= 10;
            }
            if (text.size() == before) {
                return std::nullopt;
            }
        }
    }
    if (*month < 1 || *month > 12 || *day < 1 || *day > 31 || fields.tm_hour > 23 ||
        fields.tm_min > 59 || fields.tm_sec > 60) {
        return std::nullopt;
    }
    std::int64_t seconds = 0;
    if (text.empty()) {
        fields.tm_isdst = -1;
        seconds = ::mktime(&fields);
    } else if (take(text, "Z")) {
        seconds = ::timegm(&fields);
    } else {
        const int sign = text.front() == '-' ? -1 : 1;
        if (!take(text, "+") && !take(text, "-")) {
            return std::nullopt;
        }
        const auto hours = digits_take(text, 2);
        const bool colon = take(text, ":");
        const auto minutes = digits_take(text, 2);
        if (!hours || !colon || !minutes) {
            return std::nullopt;
        }
        seconds = ::timegm(&fields) - sign * (*hours * 3600 + *minutes * 60);
    }
    if (!text.empty()) {
        return std::nullopt;
    }
    return wall_from_unix_nanoseconds(seconds * 1'000'000'000 + nanoseconds);
}

std::string seconds_text(WallTime time) {
    const std::int64_t value = unix_nanoseconds(time);
    return fmt::format("{}.{:09}", value / 1'000'000'000, value % 1'000'000'000);
}

/// In local time, with that fraction of the second.
std::string rfc3339_local(WallTime time, std::string_view fraction) {
    const auto seconds = static_cast<std::time_t>(unix_nanoseconds(time) / 1'000'000'000);
    tm fields{};
    if (::localtime_r(&seconds, &fields) == nullptr) {
        return std::string(zero_time_text);
    }
    std::string zone = "Z";
    if (fields.tm_gmtoff != 0) {
        const long minutes = std::labs(fields.tm_gmtoff) / 60;
        zone = fmt::format(
            "{}{:02}:{:02}", fields.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}",
                       fields.tm_year + 1900,
                       fields.tm_mon + 1,
                       fields.tm_mday,
                       fields.tm_hour,
                       fields.tm_min,
                       fields.tm_sec,
                       fraction,
                       zone);
}

}  // namespace

Result<std::int64_t> size_parse(std::string_view text) {
    return byte_size_parse(text);
}

Result<Nanoseconds> duration_parse(std::string_view text) {
    const std::string_view whole = text;
    const auto failed = [whole](std::string_view why) {
        return invalid(fmt::format("time: {} \"{}\"", why, whole));
    };
    bool negative = false;
    if (take(text, "-")) {
        negative = true;
    } else {
        take(text, "+");
    }
    if (text == "0") {
        return Nanoseconds::zero();
    }
    if (text.empty()) {
        return failed("invalid duration");
    }

    struct Unit {
        std::string_view name;
        double nanoseconds;
    };

    // A unit that is the beginning of another one comes after it.
    constexpr std::array<Unit, 8> units{{{"ns", 1},
                                         {"us", 1e3},
                                         {"µs", 1e3},
                                         {"μs", 1e3},
                                         {"ms", 1e6},
                                         {"s", 1e9},
                                         {"m", 60e9},
                                         {"h", 3600e9}}};
    double total = 0;
    while (!text.empty()) {
        const auto number = decimal_take(text);
        if (!number) {
            return failed("invalid duration");
        }
        const Unit* found = nullptr;
        for (const Unit& unit : units) {
            if (take(text, unit.name)) {
                found = &unit;
                break;
            }
        }
        if (found == nullptr) {
            return failed("missing or unknown unit in duration");
        }
        total += *number * found->nanoseconds;
    }
    if (total >= 9.2e18) {
        return failed("invalid duration");
    }
    const auto nanoseconds = static_cast<std::int64_t>(total);
    return Nanoseconds(negative ? -nanoseconds : nanoseconds);
}

Result<std::int64_t> nano_cpus_parse(std::string_view text) {
    const auto failed = [text] {
        return invalid(fmt::format("failed to parse {} as a rational number", text));
    };
    std::string_view rest = text;
    if (rest.empty()) {
        return failed();
    }
    auto value = decimal_take(rest);
    if (value && take(rest, "/")) {
        const auto divisor = rest.empty() ? std::nullopt : decimal_take(rest);
        value = divisor && *divisor > 0 ? std::optional(*value / *divisor) : std::nullopt;
    }
    if (!value || !rest.empty() || *value > 1e9) {
        return failed();
    }
    const double nano = *value * 1e9;
    const double rounded = std::round(nano);
    if (std::abs(nano - rounded) > 1e-3 * std::max(1.0, *value)) {
        return invalid("value is too precise");
    }
    return static_cast<std::int64_t>(rounded);
}

Result<std::int64_t> integer_parse(std::string_view text) {
    std::string_view digits = text;
    if (digits.size() > 1 && digits.front() == '+' && digits[1] != '-') {
        digits.remove_prefix(1);
    }
    std::int64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, value);
    if (code == std::errc::result_out_of_range) {
        return invalid(fmt::format("parsing \"{}\": value out of range", text));
    }
    if (code != std::errc() || stop != end) {
        return invalid(fmt::format("parsing \"{}\": invalid syntax", text));
    }
    return value;
}

Result<std::string> timestamp_parse(std::string_view text, WallTime now) {
    if (Result<Nanoseconds> ago = duration_parse(text); ago && text != "0") {
        return seconds_text(now - *ago);
    }
    if (text.find('-') != std::string_view::npos) {
        if (const auto time = date_parse(text)) {
            return seconds_text(*time);
        }
    }
    const std::size_t dot = text.find('.');
    const std::string_view fraction =
        dot == std::string_view::npos ? std::string_view("0") : text.substr(dot + 1);
    if (!integer_parse(text.substr(0, dot)) || fraction.empty() || fraction.size() > 9 ||
        fraction.find_first_not_of("0123456789") != std::string_view::npos) {
        return invalid(fmt::format("failed to parse value as time or duration: \"{}\"", text));
    }
    return std::string(text);
}

namespace {

/// As go-units' CustomSize().
std::string scaled_text(double bytes,
                        double base,
                        int digits,
                        const std::array<std::string_view, 7>& units) {
    std::size_t unit = 0;
    while (bytes >= base && unit + 1 < units.size()) {
        bytes /= base;
        ++unit;
    }
    return fmt::format("{:.{}g}{}", bytes, digits, units[unit]);
}

}  // namespace

std::string size_text(double bytes, int digits) {
    return scaled_text(bytes, 1000.0, digits, {"B", "kB", "MB", "GB", "TB", "PB", "EB"});
}

std::string binary_size_text(double bytes) {
    constexpr int digits = 4;
    return scaled_text(bytes, 1024.0, digits, {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
}

std::string duration_text(Nanoseconds duration) {
    const double seconds = std::chrono::duration<double>(duration).count();
    const auto hours = static_cast<std::int64_t>(seconds / 3600 + 0.5);
    if (seconds < 1) {
        return "Less than a second";
    }
    if (seconds < 2) {
        return "1 second";
    }
    if (seconds < 60) {
        return fmt::format("{} seconds", static_cast<std::int64_t>(seconds));
    }
    if (seconds < 120) {
        return "About a minute";
    }
    if (seconds < 3600) {
        return fmt::format("{} minutes", static_cast<std::int64_t>(seconds / 60));
    }
    if (hours == 1) {
        return "About an hour";
    }
    if (hours < 48) {
        return fmt::format("{} hours", hours);
    }
    if (hours < 24 * 7 * 2) {
        return fmt::format("{} days", hours / 24);
    }
    if (hours < 24 * 30 * 2) {
        return fmt::format("{} weeks", hours / 24 / 7);
    }
    if (hours < 24 * 365 * 2) {
        return fmt::format("{} months", hours / 24 / 30);
    }
    return fmt::format("{} years", static_cast<std::int64_t>(seconds / 3600) / 24 / 365);
}

std::string date_text(WallTime time) {
    const std::time_t seconds = static_cast<std::time_t>(unix_nanoseconds(time) / 1'000'000'000);
    tm fields{};
    if (::localtime_r(&seconds, &fields) == nullptr) {
        return std::string(zero_time_text);
    }
    std::array<char, 64> buffer{};
    const std::size_t length =
        std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S %z %Z", &fields);
    return std::string(buffer.data(), length);
}

std::string local_time_text(WallTime time) {
    return rfc3339_local(time, fmt::format(".{:09}", unix_nanoseconds(time) % 1'000'000'000));
}

std::string local_second_text(WallTime time) {
    return rfc3339_local(time, "");
}

}  // namespace davit::cli
