#pragma once
/// ApiVersion: what a client speaks. Follows: Docker Engine API, "Versioning".
#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace davit {

struct ApiVersion {
    int major = 1;
    int minor = 50;

    auto operator<=>(const ApiVersion&) const = default;

    std::string text() const;
};

inline constexpr ApiVersion api_version_max{1, 50};
inline constexpr ApiVersion api_version_min{1, 24};

/// "1.44"; nothing if it is not two numbers.
std::optional<ApiVersion> api_version_parse(std::string_view text);

}  // namespace davit
