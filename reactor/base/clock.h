#pragma once
/// Two clocks: monotonic for measuring, wall for what users see. Both in nanoseconds.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

using Nanoseconds = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Nanoseconds>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanoseconds>;

inline MonotonicTime monotonic_now() {
    return std::chrono::time_point_cast<Nanoseconds>(std::chrono::steady_clock::now());
}

inline WallTime wall_now() {
    return std::chrono::time_point_cast<Nanoseconds>(std::chrono::system_clock::now());
}

inline std::int64_t unix_nanoseconds(WallTime time) {
    return time.time_since_epoch().count();
}

inline WallTime wall_from_unix_nanoseconds(std::int64_t value) {
    return WallTime(Nanoseconds(value));
}

/// "2026-01-02T03:04:05.000000006Z": exactly nine digits, as Docker's log timestamps.
std::string rfc3339_nano_fixed(WallTime time);

/// As Go's time.RFC3339Nano: trailing zeros of the fraction dropped; used in the API's JSON.
std::string rfc3339_nano(WallTime time);

/// RFC 3339 with offset and optional fraction. Errors: invalid_argument.
Result<WallTime> rfc3339_parse(std::string_view text);

/// Docker's spelling of "never": the zero time of Go.
inline constexpr std::string_view zero_time_text = "0001-01-01T00:00:00Z";

}  // namespace davit
