#include "http/api/duration.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace davit {

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

Error bad_duration(std::string_view text, std::string_view what = "invalid duration") {
    return Error(ErrorKind::invalid_argument,
                 "time: " + std::string(what) + " \"" + std::string(text) + "\"");
}

struct Unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

constexpr std::array<Unit, 8> units{{{"ns", 1},
                                     {"us", 1'000},
                                     {"\xc2\xb5s", 1'000},  // Micro sign.
                                     {"\xce\xbcs", 1'000},  // Greek mu.
                                     {"ms", 1'000'000},
                                     {"s", second_ns},
                                     {"m", 60 * second_ns},
                                     {"h", 3600 * second_ns}}};

struct Decimal {
    std::int64_t whole = 0;
    std::int64_t fraction = 0;
    std::int64_t scale = 1;  ///< fraction / scale is below one.
};

/// Take digits off the front. Gives: nothing beyond 63 bits.
std::optional<std::int64_t> take_digits(std::string_view& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return error == std::errc{} ? std::optional(value) : std::nullopt;
}

/// Take "12", "1.5", "1." or ".5" off the front; nothing without a digit, or beyond 63 bits.
std::optional<Decimal> take_decimal(std::string_view& text) {
    constexpr std::int64_t scale_max =
        1'000'000'000'000'000;  // Of an hour, far below a nanosecond.
    Decimal number;
    const bool has_whole = !text.empty() && is_digit(text.front());
    if (has_whole) {
        const auto whole = take_digits(text);
        if (!whole) {
            return std::nullopt;
        }
        number.whole = *whole;
    }
    if (text.empty() || text.front() != '.') {
        return has_whole ? std::optional(number) : std::nullopt;
    }
    text.remove_prefix(1);
    const bool has_fraction = !text.empty() && is_digit(text.front());
    for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
        if (number.scale < scale_max) {
            number.fraction = number.fraction * 10 + (text.front() - '0');
            number.scale *= 10;
        }
    }
    return has_whole || has_fraction ? std::optional(number) : std::nullopt;
}

/// The letters up to the next number.
std::string_view take_unit(std::string_view& text) {
    const auto end = std::ranges::find_if(text, [](char c) { return c == '.' || is_digit(c); });
    const auto length = static_cast<std::size_t>(end - text.begin());
    const std::string_view unit = text.substr(0, length);
    text.remove_prefix(length);
    return unit;
}

std::optional<std::int64_t> scaled(const Decimal& number, std::int64_t unit) {
    std::int64_t total = 0;
    const double part = static_cast<double>(number.fraction) / static_cast<double>(number.scale) *
                        static_cast<double>(unit);
    // Half a nanosecond up: 1.1 is a bit less than eleven tenths.
    if (__builtin_mul_overflow(number.whole, unit, &total) ||
        __builtin_add_overflow(total, static_cast<std::int64_t>(part + 0.5), &total)) {
        return std::nullopt;
    }
    return total;
}

/// Seconds with a fraction of which nine digits count.
std::optional<WallTime> unix_time(std::string_view text) {
    const bool negative = text.starts_with('-');
    text.remove_prefix(negative ? 1 : 0);
    const std::size_t dot = text.find('.');
    const std::string_view whole = text.substr(0, dot);
    std::string fraction(dot == std::string_view::npos ? "" : text.substr(dot + 1));
    if (whole.empty() || !std::ranges::all_of(whole, is_digit) ||
        !std::ranges::all_of(fraction, is_digit)) {
        return std::nullopt;
    }
    fraction.resize(9, '0');
    std::string_view whole_rest = whole;
    std::string_view fraction_rest = fraction;
    const auto seconds = take_digits(whole_rest);
    const auto nanoseconds = take_digits(fraction_rest);
    std::int64_t total = 0;
    if (!seconds || !nanoseconds || __builtin_mul_overflow(*seconds, second_ns, &total) ||
        __builtin_add_overflow(total, *nanoseconds, &total)) {
        return std::nullopt;
    }
    return wall_from_unix_nanoseconds(negative ? -total : total);
}

/// What RFC 3339 wants, from the shorter forms: "2026-01-02", "...T15", "...T15:04", no zone.
std::string date_complete(std::string_view text) {
    std::string date(text);
    const std::size_t time = date.find('T');
    if (time == std::string::npos) {
        return date + "T00:00:00Z";
    }
    std::size_t zone = date.find_first_of("Z+-", time);
    if (zone == std::string::npos) {
        zone = date.size();
        date += 'Z';
    }
    constexpr std::size_t hours = 3;    // "T15"
    constexpr std::size_t minutes = 6;  // "T15:04"
    if (zone - time == hours || zone - time == minutes) {
        date.insert(zone, zone - time == hours ? ":00:00" : ":00");
    }
    return date;
}

}  // namespace

Result<Nanoseconds> go_duration_parse(std::string_view text) {
    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    rest.remove_prefix(negative || rest.starts_with('+') ? 1 : 0);
    if (rest == "0") {
        return Nanoseconds(0);
    }
    if (rest.empty()) {
        return bad_duration(text);
    }
    std::int64_t total = 0;
    while (!rest.empty()) {
        const auto number = take_decimal(rest);
        if (!number) {
            return bad_duration(text);
        }
        const std::string_view name = take_unit(rest);
        if (name.empty()) {
            return bad_duration(text, "missing unit in duration");
        }
        const auto unit = std::ranges::find(units, name, &Unit::name);
        if (unit == units.end()) {
            return bad_duration(text, "unknown unit in duration");
        }
        const auto part = scaled(*number, unit->nanoseconds);
        if (!part || __builtin_add_overflow(total, *part, &total)) {
            return bad_duration(text);
        }
    }
    return Nanoseconds(negative ? -total : total);
}

Result<WallTime> timestamp_parse(std::string_view text, WallTime now) {
    if (const auto time = unix_time(text)) {
        return *time;
    }
    constexpr std::size_t date_length = 10;
    if (text.size() >= date_length && text[4] == '-') {
        if (auto time = rfc3339_parse(date_complete(text))) {
            return *time;
        }
    } else if (const auto before = go_duration_parse(text)) {
        std::int64_t then = 0;
        if (!__builtin_sub_overflow(unix_nanoseconds(now), before->count(), &then)) {
            return wall_from_unix_nanoseconds(then);
        }
    }
    return Error(ErrorKind::invalid_argument,
                 "failed to parse value as time or duration: \"" + std::string(text) + "\"");
}

std::string human_duration(Nanoseconds duration) {
    const std::int64_t seconds = duration.count() / second_ns;
    const auto counted = [](std::int64_t count, std::string_view unit) {
        return std::to_string(count) + " " + std::string(unit);
    };
    if (seconds < 1) {
        return "Less than a second";
    }
    if (seconds == 1) {
        return "1 second";
    }
    if (seconds < 60) {
        return counted(seconds, "seconds");
    }
    const std::int64_t minutes = seconds / 60;
    if (minutes == 1) {
        return "About a minute";
    }
    if (minutes < 60) {
        return counted(minutes, "minutes");
    }
    const std::int64_t hours = (seconds + 1800) / 3600;  // Rounded; the others are cut.
    if (hours == 1) {
        return "About an hour";
    }
    if (hours < 48) {
        return counted(hours, "hours");
    }
    const std::int64_t days = hours / 24;
    if (days < 14) {
        return counted(days, "days");
    }
    if (days < 60) {
        return counted(days / 7, "weeks");
    }
    if (days < 730) {
        return counted(days / 30, "months");
    }
    return counted(seconds / 3600 / 24 / 365, "years");
}

}  // namespace davit
