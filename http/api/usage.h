#pragma once
/// What parts of GET /system/df give.
#include <string>

#include "http/api/context.h"

namespace davit::api {

/// Every container, with its sizes: the array of GET /containers/json?all=1&size=1.
Task<std::string> container_usage_json(ApiContext& context);

/// Every volume with its size and the number of containers that use it.
Task<std::string> volume_usage_json(ApiContext& context);

}  // namespace davit::api
