#pragma once
/// What davit calls itself. Clients compare Version as semver, so it leads with the Docker Engine
/// release whose behaviour davit follows.
#include <string_view>

namespace davit {

inline constexpr std::string_view engine_version = "28.2.2+davit." DAVIT_VERSION;

}  // namespace davit
