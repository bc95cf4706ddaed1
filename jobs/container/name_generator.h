#pragma once
/// Containers' names: what may be one, and new ones for those who give none.
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// "name" or "/name" to "/name". Errors: invalid_argument, in Docker's words.
Result<std::string> container_name_check(std::string_view name);

/// A name like "brave_schooner", without a slash; from the second attempt on with a number behind
/// it, which grows with the attempts.
std::string container_name_generate(int attempt);

}  // namespace davit
