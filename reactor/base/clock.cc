#include "reactor/base/clock.h"

#include <charconv>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

namespace davit {

namespace {

struct Parts {
    std::tm utc{};
    long nanoseconds = 0;
};

Parts parts_of(WallTime time) {
    constexpr std::int64_t per_second = 1'000'000'000;
    const std::int64_t total = unix_nanoseconds(time);
    std::int64_t fraction = total % per_second;
    std::int64_t whole = total / per_second;
    if (fraction < 0) {
        fraction += per_second;
        --whole;
    }
    Parts parts;
    const auto seconds = static_cast<std::time_t>(whole);
    ::gmtime_r(&seconds, &parts.utc);
    parts.nanoseconds = fraction;
    return parts;
}

std::string date_and_time(const std::tm& utc) {
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                       utc.tm_year + 1900,
                       utc.tm_mon + 1,
                       utc.tm_mday,
                       utc.tm_hour,
                       utc.tm_min,
                       utc.tm_sec);
}

/// Take exactly `digits` decimal digits off the front of text.
bool take_number(std::string_view& text, std::size_t digits, int& value) {
    if (text.size() < digits) {
        return false;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc{} || end != text.data() + digits || value < 0) {
        return false;
    }
    text.remove_prefix(digits);
    return true;
}

bool take_char(std::string_view& text, char wanted) {
    if (text.empty() || text.front() != wanted) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

bool take_date_time(std::string_view& text, std::tm& utc) {
    const bool taken = take_number(text, 4, utc.tm_year) && take_char(text, '-') &&
                       take_number(text, 2, utc.tm_mon) && take_char(text, '-') &&
                       take_number(text, 2, utc.tm_mday) &&
                       (take_char(text, 'T') || take_char(text, 't')) &&
                       take_number(text, 2, utc.tm_hour) && take_char(text, ':') &&
                       take_number(text, 2, utc.tm_min) && take_char(text, ':') &&
                       take_number(text, 2, utc.tm_sec);
    const bool valid = taken && utc.tm_mon >= 1 && utc.tm_mon <= 12 && utc.tm_mday >= 1 &&
                       utc.tm_mday <= 31 && utc.tm_hour <= 23 && utc.tm_min <= 59 &&
                       utc.tm_sec <= 60;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    return valid;
}

/// Digits after the point, to nanoseconds; further digits are cut.
std::int64_t take_fraction(std::string_view& text) {
    std::int64_t value = 0;
    int digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        if (digits < 9) {
            value = value * 10 + (text.front() - '0');
            ++digits;
        }
        text.remove_prefix(1);
    }
    for (; digits < 9; ++digits) {
        value *= 10;
    }
    return value;
}

}  // namespace

std::string rfc3339_nano_fixed(WallTime time) {
    const Parts parts = parts_of(time);
    return fmt::format("{}.{:09}Z", date_and_time(parts.utc), parts.nanoseconds);
}

std::string rfc3339_nano(WallTime time) {
    const Parts parts = parts_of(time);
    std::string text = date_and_time(parts.utc);
    if (parts.nanoseconds != 0) {
        text += fmt::format(".{:09}", parts.nanoseconds);
        text.erase(text.find_last_not_of('0') + 1);
    }
    text += 'Z';
    return text;
}

Result<WallTime> rfc3339_parse(std::string_view text) {
    const Error bad(ErrorKind::invalid_argument, fmt::format("not an RFC 3339 time: {:?}", text));
    std::string_view rest = text;
    std::tm utc{};
    if (!take_date_time(rest, utc)) {
        return bad;
    }
    const std::int64_t fraction = take_char(rest, '.') ? take_fraction(rest) : 0;
    int offset_seconds = 0;
    if (!take_char(rest, 'Z') && !take_char(rest, 'z')) {
        const int sign = take_char(rest, '+') ? 1 : (take_char(rest, '-') ? -1 : 0);
        int hours = 0;
        int minutes = 0;
        if (sign == 0 || !take_number(rest, 2, hours) || !take_char(rest, ':') ||
            !take_number(rest, 2, minutes)) {
            return bad;
        }
        offset_seconds = sign * (hours * 3600 + minutes * 60);
    }
    if (!rest.empty()) {
        return bad;
    }
    const std::int64_t seconds = static_cast<std::int64_t>(::timegm(&utc)) - offset_seconds;
    std::int64_t nanoseconds = 0;  // 64 bits of them end in 2262.
    if (__builtin_mul_overflow(seconds, 1'000'000'000, &nanoseconds) ||
        __builtin_add_overflow(nanoseconds, fraction, &nanoseconds)) {
        return bad;
    }
    return wall_from_unix_nanoseconds(nanoseconds);
}

}  // namespace davit
