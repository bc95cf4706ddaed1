#include "http/registry/credentials.h"

#include "http/json_reader.h"
#include "http/registry/base64.h"

namespace davit {

Result<RegistryCredentials> credentials_parse(std::string_view header) {
    RegistryCredentials credentials;
    if (header.empty()) {
        return credentials;
    }
    Result<std::string> text = base64_decode(header);
    if (!text) {
        return std::move(text).error().context("invalid X-Registry-Auth header");
    }
    Result<JsonDocument> document = JsonDocument::parse(*text);
    if (!document) {
        return std::move(document).error().context("invalid X-Registry-Auth header");
    }
    const JsonValue root = document->root();
    TRY(credentials.username, root.string_or("username", ""));
    TRY(credentials.password, root.string_or("password", ""));
    TRY(credentials.identity_token, root.string_or("identitytoken", ""));
    TRY(credentials.registry_token, root.string_or("registrytoken", ""));
    TRY(credentials.server_address, root.string_or("serveraddress", ""));
    TRY(const std::string both, root.string_or("auth", ""));
    if (credentials.username.empty() && !both.empty()) {
        TRY(const std::string pair, base64_decode(both));
        const std::size_t colon = pair.find(':');
        if (colon == std::string::npos) {
            return Error(ErrorKind::invalid_argument, "invalid X-Registry-Auth header: auth");
        }
        credentials.username = pair.substr(0, colon);
        credentials.password = pair.substr(colon + 1);
    }
    // Docker's CLI sends this user name when what follows is an identity token.
    if (credentials.username == "<token>" && credentials.identity_token.empty()) {
        credentials.identity_token = std::move(credentials.password);
        credentials.username.clear();
        credentials.password.clear();
    }
    return credentials;
}

}  // namespace davit
