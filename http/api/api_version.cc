#include "http/api/api_version.h"

#include <charconv>

namespace davit {

std::string ApiVersion::text() const {
    return std::to_string(major) + "." + std::to_string(minor);
}

std::optional<ApiVersion> api_version_parse(std::string_view text) {
    ApiVersion version;
    const char* end = text.data() + text.size();
    const auto [dot, major_error] = std::from_chars(text.data(), end, version.major);
    if (major_error != std::errc{} || dot == end || *dot != '.') {
        return std::nullopt;
    }
    const auto [last, minor_error] = std::from_chars(dot + 1, end, version.minor);
    if (minor_error != std::errc{} || last != end || version.major < 0 || version.minor < 0) {
        return std::nullopt;
    }
    return version;
}

}  // namespace davit
