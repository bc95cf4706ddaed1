#pragma once
/// Base64. Follows: RFC 4648 sections 4 and 5.
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// The standard alphabet, with padding.
std::string base64_encode(std::string_view bytes);

/// Either alphabet, with or without padding: clients differ. Errors: invalid_argument.
Result<std::string> base64_decode(std::string_view text);

}  // namespace davit
