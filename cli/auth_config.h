#pragma once
/// The user's credentials for registries, from docker's config.json.
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit::cli {

struct RegistryAuth {
    /// The X-Registry-Auth header: base64url of a JSON object; "" if nothing is known.
    std::string header;
    /// Why nothing is known although the user has configured something; "" if all is well.
    std::string warning;
};

/// Takes: directory of config.json (which need not exist); domain of the registry ("docker.io").
/// Errors: invalid_argument for a config.json that is no JSON, or has an entry that is none.
Result<RegistryAuth> registry_auth(const std::string& directory, std::string_view domain);

/// config.json's detachKeys; "" if there is none, or no such file.
std::string configured_detach_keys(const std::string& directory);

}  // namespace davit::cli
