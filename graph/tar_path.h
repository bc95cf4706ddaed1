#pragma once
/// Names in archives, made safe to use below a root.
#include <cstddef>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// The name without leading, doubled or trailing slashes and without "." components; ".." is
/// resolved lexically. The root itself ("/", "./", "") gives "".
///
/// Lexical resolution is what Docker's own extractor does (Go's filepath.Clean).
/// Errors: corrupt when the name climbs above the root, holds a NUL, or is too long as a whole
///         (limits::tar_path_bytes_max) or in one component (NAME_MAX).
Result<std::string> tar_path_clean(std::string_view path);

/// A name may be as long as an archive likes; so much of it is shown in messages.
inline constexpr std::size_t shown_bytes_max = 256;

/// The part before the last component of a clean path ("" at the top), without a trailing slash.
inline std::string_view tar_path_parent(std::string_view clean) {
    const std::size_t slash = clean.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : clean.substr(0, slash);
}

/// The last component of a clean path.
inline std::string_view tar_path_name(std::string_view clean) {
    return clean.substr(clean.rfind('/') + 1);
}

}  // namespace davit
