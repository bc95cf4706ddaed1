#pragma once
/// Sizes, durations and points in time as users type them and as tables show them.
///
/// Follows: what docker's command line accepts and prints (Go's time.ParseDuration; go-units'
/// RAMInBytes, HumanSize and HumanDuration), since scripts parse both.
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace davit::cli {

/// "512", "64m", "1.5GiB": powers of 1024. Errors: invalid_argument.
Result<std::int64_t> size_parse(std::string_view text);

/// "1.5h", "2m30s", "100ms", "-1s". Errors: invalid_argument.
Result<Nanoseconds> duration_parse(std::string_view text);

/// "0.5", "2", "3/2": a number of CPUs in billionths. Errors: invalid_argument.
Result<std::int64_t> nano_cpus_parse(std::string_view text);

/// A whole decimal number, maybe negative, that fits. Errors: invalid_argument.
Result<std::int64_t> integer_parse(std::string_view text);

/// The value of --since and --until as the API takes it, "SECONDS.NANOSECONDS" or "SECONDS".
///
/// Takes:  a duration before now ("10m"), a date and time with or without its end and its zone
///         ("2026-01-02T15:04", local time without one), or seconds since 1970.
/// Errors: invalid_argument.
Result<std::string> timestamp_parse(std::string_view text, WallTime now);

/// "1.234kB", powers of 1000, so many significant digits.
std::string size_text(double bytes, int digits);

/// "1.234MiB", powers of 1024, four significant digits.
std::string binary_size_text(double bytes);

/// "About an hour", "3 days".
std::string duration_text(Nanoseconds duration);

/// "2026-01-02 15:04:05 +0000 UTC" in local time.
std::string date_text(WallTime time);

/// "2026-01-02T15:04:05.000000006+01:00" in local time; "Z" for UTC.
std::string local_time_text(WallTime time);

/// The same without the fraction: "2026-01-02T15:04:05+01:00".
std::string local_second_text(WallTime time);

}  // namespace davit::cli
