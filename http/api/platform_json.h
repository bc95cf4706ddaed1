#pragma once
/// The platform parameter of calls for images that are here: an object, not "os/architecture".
#include <optional>
#include <string_view>

#include "graph/platform.h"

namespace davit {

/// {"os":"linux","architecture":"arm","variant":"v5"}, with "os.version" and "os.features" as the
/// OCI image-spec has them. Gives: nothing for an empty text.
/// Follows: moby api/server/httputils/form.go, DecodePlatform. Errors: invalid_argument.
Result<std::optional<Platform>> platform_json_parse(std::string_view text);

}  // namespace davit
