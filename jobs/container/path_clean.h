#pragma once
#include <string>
#include <string_view>

namespace davit {

/// An absolute path without ".", "..", empty parts and a slash at the end: "/a//b/../c/" is "/a/c".
/// Names only: nothing is looked up, so a symlink before ".." is not followed, as Docker does it.
std::string path_clean(std::string_view path);

}  // namespace davit
