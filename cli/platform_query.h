#pragma once
/// --platform of commands about images that are here.
#include <string>

#include "cli/api_client.h"

namespace davit::cli {

/// Add `platform` to the call as the API takes it, an object of the OCI image-spec. Takes: text,
/// "os/arch[/variant]"; empty adds nothing. Errors: invalid_argument.
Result<void> platform_query_add(ApiCall& call, const std::string& text);

}  // namespace davit::cli
