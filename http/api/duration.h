#pragma once
/// Times and durations as Docker's clients write and read them.
#include <string>
#include <string_view>

#include "reactor/base/clock.h"

namespace davit {

/// "1h30m", "-1.5s", "300ms", "0". Follows: Go's time.ParseDuration.
/// Errors: invalid_argument, in Go's words; also beyond 292 years.
Result<Nanoseconds> go_duration_parse(std::string_view text);

/// since and until: seconds since 1970 with an optional fraction, a date with or without time and
/// zone
/// ("2026-01-02", "2026-01-02T15:04", RFC 3339; UTC if it names none), or a duration before now.
/// Errors: invalid_argument.
Result<WallTime> timestamp_parse(std::string_view text, WallTime now);

/// "5 minutes", "About an hour", "2 weeks". Follows: docker/go-units HumanDuration.
std::string human_duration(Nanoseconds duration);

}  // namespace davit
