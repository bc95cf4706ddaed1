#pragma once
/// Times and durations as Docker's clients write and read them.
#include <string>
#include <string_view>

#include "reactor/base/clock.h"

namespace davit {

/// Go's time.ParseDuration: "1h30m", "1.5s", "300ms". Errors: invalid_argument.
Result<Nanoseconds> go_duration_parse(std::string_view text);

/// since, until: unix seconds with an optional fraction, RFC 3339 (with or without zone, time), or a
/// duration before now. Errors: invalid_argument.
Result<WallTime> timestamp_parse(std::string_view text, WallTime now);

/// "5 minutes", "About an hour", "2 weeks". Follows: docker/go-units HumanDuration.
std::string human_duration(Nanoseconds duration);

}  // namespace davit
