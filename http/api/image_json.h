#pragma once
/// Images as the API shows them. Each gives one JSON document.
#include <string>

#include "http/api/context.h"

namespace davit::api {

/// GET /images/json. Follows: Docker Engine API, ImageList. Errors: invalid_argument (filters).
Result<std::string> image_list_json(const ApiContext& context);

/// GET /images/{name}/json. Errors: not_found.
Result<std::string> image_inspect_json(const ApiContext& context);

/// GET /images/{name}/history. Errors: not_found.
Result<std::string> image_history_json(const ApiContext& context);

}  // namespace davit::api
