#pragma once
/// Who a request to a registry comes from.
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

struct RegistryCredentials {
    std::string username;
    std::string password;
    std::string identity_token;  ///< An OAuth refresh token: exchanged for access tokens.
    std::string registry_token;  ///< A bearer token, used as it is.
    std::string server_address;

    bool empty() const {
        return username.empty() && password.empty() && identity_token.empty() &&
               registry_token.empty();
    }
};

/// The X-Registry-Auth header: base64 of a JSON object; "" and "{}" mean nobody.
/// Follows: Docker Engine API, "Authentication". Errors: invalid_argument.
Result<RegistryCredentials> credentials_parse(std::string_view header);

}  // namespace davit
