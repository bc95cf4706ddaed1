#include "http/api/duration.h"

#include <array>
#include <charconv>
#include <cmath>

namespace davit {

namespace {

Error bad_duration(std::string_view text) {
    return Error(ErrorKind::invalid_argument, "time: invalid duration \"" + std::string(text) + "\"");
}

struct Unit {
    std::string_view name;
    double nanoseconds;
};

constexpr std::array<Unit, 8> units{{{"ns", 1.0},
                                     {"us", 1e3},
                                     {"\xc2\xb5s", 1e3},
                                     {"\xce\xbcs", 1e3},
                                     {"ms", 1e6},
                                     {"s", 1e9},
                                     {"m", 60e9},
                                     {"h", 3600e9}}};

/// A decimal number with an optional fraction off the front.
bool take_decimal(std::string_view& text, double& value) {
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || value < 0 || !std::isfinite(value)) {
        return false;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

/// Seconds with up to nine digits behind the point, without the loss of a double.
std::optional<WallTime> unix_time(std::string_view text) {
    std::int64_t seconds = 0;
    const char* end = text.data() + text.size();
    const auto [point, error] = std::from_chars(text.data(), end, seconds);
    if (error != std::errc{} || (point != end && *point != '.')) {
        return std::nullopt;
    }
    std::int64_t fraction = 0;
    int digits = 0;
    for (const char* digit = point == end ? end : point + 1; digit != end; ++digit) {
        if (*digit < '0' || *digit > '9') {
            return std::nullopt;
        }
        if (digits < 9) {
            fraction = fraction * 10 + (*digit - '0');
            ++digits;
        }
    }
    for (; digits < 9; ++digits) {
        fraction *= 10;
    }
    constexpr std::int64_t seconds_max = 9'000'000'000;
    if (seconds > seconds_max || seconds < -seconds_max) {
        return std::nullopt;
    }
    return wall_from_unix_nanoseconds(seconds * 1'000'000'000 + fraction);
}

}  // namespace

Result<Nanoseconds> go_duration_parse(std::string_view text) {
    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) {
        rest.remove_prefix(1);
    }
    if (rest == "0") {
        return Nanoseconds{};
    }
    if (rest.empty()) {
        return bad_duration(text);
    }
    double total = 0;
    while (!rest.empty()) {
        double value = 0;
        if (!take_decimal(rest, value)) {
            return bad_duration(text);
        }
        const std::size_t length = std::min(rest.find_first_of("0123456789."), rest.size());
        const std::string_view name = rest.substr(0, length);
        rest.remove_prefix(length);
        double scale = 0;
        for (const Unit& unit : units) {
            scale = unit.name == name ? unit.nanoseconds : scale;
        }
        if (scale == 0) {
            return bad_duration(text);
        }
        total += value * scale;
    }
    if (total > 9.2e18) {
        return bad_duration(text);
    }
    return Nanoseconds(static_cast<std::int64_t>(negative ? -total : total));
}

Result<WallTime> timestamp_parse(std::string_view text, WallTime now) {
    if (const auto time = unix_time(text)) {
        return *time;
    }
    if (const auto duration = go_duration_parse(text)) {
        return now - *duration;
    }
    std::string full(text);
    if (full.find('T') == std::string::npos) {
        full += "T00:00:00";
    }
    const bool has_zone = full.back() == 'Z' || full.find_first_of("+-", 19) != std::string::npos;
    auto time = rfc3339_parse(has_zone ? full : full + "Z");
    if (!time) {
        return Error(ErrorKind::invalid_argument,
                     "failed to parse value as time or duration: \"" + std::string(text) + "\"");
    }
    return *time;
}

std::string human_duration(Nanoseconds duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    const auto count = [](std::int64_t value, std::string_view unit) {
        return std::to_string(value) + " " + std::string(unit);
    };
    if (seconds < 1) {
        return "Less than a second";
    }
    if (seconds == 1) {
        return "1 second";
    }
    if (seconds < 60) {
        return count(seconds, "seconds");
    }
    const std::int64_t minutes = seconds / 60;
    if (minutes == 1) {
        return "About a minute";
    }
    if (minutes < 60) {
        return count(minutes, "minutes");
    }
    const std::int64_t hours = (minutes + 30) / 60;
    if (hours == 1) {
        return "About an hour";
    }
    if (hours < 48) {
        return count(hours, "hours");
    }
    if (hours < 24 * 7 * 2) {
        return count(hours / 24, "days");
    }
    if (hours < 24 * 30 * 2) {
        return count(hours / 24 / 7, "weeks");
    }
    if (hours < 24 * 365 * 2) {
        return count(hours / 24 / 30, "months");
    }
    return count(hours / 24 / 365, "years");
}

}  // namespace davit
