#pragma once
/// Images as the API shows them. Each gives one JSON document.
#include <string>

#include "graph/image_sizes.h"
#include "http/api/context.h"

namespace davit::api {

/// GET /images/json. Follows: Docker Engine API, ImageList. Errors: invalid_argument (filters).
Result<std::string> image_list_json(const ApiContext& context);

/// The images of GET /system/df: an array of the same items, with their shared sizes. Takes: as if
/// by graph_sizes().
Result<std::string> image_usage_json(const ApiContext& context, const GraphSizes& sizes);

/// GET /images/{name}/json. Errors: not_found, also for another platform than asked for;
/// invalid_argument (platform).
Result<std::string> image_inspect_json(const ApiContext& context);

/// GET /images/{name}/history: what image_history() gives. Errors: as that, and as
/// image_inspect_json().
Result<std::string> image_history_json(const ApiContext& context);

}  // namespace davit::api
