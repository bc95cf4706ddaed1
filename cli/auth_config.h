#pragma once
/// The user's credentials for registries, from docker's config.json.
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit::cli {

/// Docker Hub's key in config.json: the address of its first index.
inline constexpr std::string_view hub_key = "https://index.docker.io/v1/";

struct RegistryAuth {
    /// The X-Registry-Auth header: base64url of a JSON object; "" if nothing is known.
    std::string header;
    /// Why nothing is known although the user has configured something; "" if all is well.
    std::string warning;
};

/// Takes: directory of config.json (which need not exist); domain of the registry ("docker.io").
/// Errors: invalid_argument for a config.json that is no JSON, or has an entry that is none.
Result<RegistryAuth> registry_auth(const std::string& directory, std::string_view domain);

/// What a login leaves in config.json: the password, or the identity token that stands for it.
struct StoredLogin {
    std::string username;
    std::string password;
    std::string identity_token;
};

/// A server as config.json's key: "" and Docker Hub's names are the address of its first index;
/// scheme and path of others do not count.
std::string auth_key(std::string_view server);

/// Takes: server, an auth_key(). Gives: nothing if there is none. Errors: as registry_auth().
Result<std::optional<StoredLogin>> login_find(const std::string& directory,
                                              std::string_view server);

/// Errors: unsupported, if config.json wants a credential helper to keep this server's logins.
Result<void> login_store_check(const std::string& directory, std::string_view server);

/// Put a login into config.json, of which nothing else changes. The file is replaced in one step;
/// a new one can be read by its owner only. Errors: those of reading and writing it.
Result<void> login_store(const std::string& directory,
                         std::string_view server,
                         const StoredLogin& login);

/// Take a login out of config.json. Gives: whether there was one.
Result<bool> login_erase(const std::string& directory, std::string_view server);

/// config.json's detachKeys; "" if there is none, or no such file.
std::string configured_detach_keys(const std::string& directory);

}  // namespace davit::cli
