#pragma once
/// Signals as users write them: "SIGTERM", "term", "15", "SIGRTMIN+3". Follows: signal(7).
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// Errors: invalid_argument, in Docker's words.
Result<int> signal_parse(std::string_view text);

}  // namespace davit
