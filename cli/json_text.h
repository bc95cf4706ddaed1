#pragma once
/// JSON as text for people.
#include <string>
#include <string_view>

namespace davit::cli {

/// Well-formed JSON, laid out anew with four blanks (or another text) per level; every value stays
/// byte for byte. Lines after the first begin with indent.
std::string json_indented(std::string_view json,
                          std::string_view indent = "",
                          std::string_view level = "    ");

}  // namespace davit::cli
