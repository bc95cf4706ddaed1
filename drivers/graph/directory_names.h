#pragma once
/// The names in a directory, and how they are followed.
#include <linux/openat2.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

/// openat2(2) resolve flags: for a path that stays below the directory it begins at, whatever
/// symbolic links are there.
inline constexpr std::uint64_t open_beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

/// Without "." and "..", in no order. Takes: at most count_max of them; 0 for all.
Result<std::vector<std::string>> directory_names(int dir,
                                                 const std::string& path,
                                                 std::size_t count_max = 0);

}  // namespace davit
