#pragma once
/// The names in a directory.
#include <cstddef>
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

/// Without "." and "..", in no order. Takes: at most count_max of them; 0 for all.
Result<std::vector<std::string>> directory_names(int dir,
                                                 const std::string& path,
                                                 std::size_t count_max = 0);

}  // namespace davit
