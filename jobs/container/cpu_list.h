#pragma once
#include <optional>
#include <set>
#include <string_view>

namespace davit {

/// "0-2,7" as {0, 1, 2, 7}; "" as {}; nothing for anything else. Follows: cpuset(7) "List format".
/// Limits: numbers below 8192, as the kernel's.
std::optional<std::set<unsigned>> cpu_list_parse(std::string_view text);

}  // namespace davit
