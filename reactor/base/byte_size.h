#pragma once
#include <cstdint>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// "512", "64m", "1.5GiB": powers of 1024, as docker's command line and options take them.
/// Follows: go-units RAMInBytes. Errors: invalid_argument "invalid size: 'x'".
Result<std::int64_t> byte_size_parse(std::string_view text);

}  // namespace davit
