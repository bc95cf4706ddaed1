// POST /auth: whether a registry takes a user's credentials.
#include "http/api/handlers.h"
#include "http/api/registry_auth.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"
#include "jobs/image/image_service.h"

namespace davit::api {

namespace {

Result<RegistryCredentials> credentials_of(std::string_view body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    RegistryCredentials credentials;
    TRY(credentials.username, root.string_or("username", ""));
    TRY(credentials.password, root.string_or("password", ""));
    TRY(credentials.identity_token, root.string_or("identitytoken", ""));
    TRY(credentials.registry_token, root.string_or("registrytoken", ""));
    TRY(credentials.server_address, root.string_or("serveraddress", ""));
    return credentials;
}

}  // namespace

RegistryCredentials registry_credentials(const ApiContext& context) {
    auto credentials = credentials_parse(context.request.head().headers.get("X-Registry-Auth"));
    return credentials ? *std::move(credentials) : RegistryCredentials{};
}

std::string registry_domain(std::string_view server_address) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (server_address.starts_with(scheme)) {
            server_address.remove_prefix(scheme.size());
        }
    }
    const std::string_view host = server_address.substr(0, server_address.find('/'));
    const bool hub = host.empty() || host == "index.docker.io" || host == "registry-1.docker.io" ||
                     host == "docker.io";
    return std::string(hub ? "docker.io" : host);
}

Task<void> registry_login(ApiContext& context) {
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(RegistryCredentials credentials, credentials_of(body.empty() ? "{}" : body));
    const std::string domain = registry_domain(credentials.server_address);
    CO_TRY(RegistryRepository registry,
           RegistryRepository::make(context.daemon.images->registry(),
                                    domain,
                                    "",
                                    RegistrySubject{domain, domain},
                                    std::move(credentials)));
    CO_TRY(const std::string identity, co_await registry.login());
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Status").string("Login Succeeded");
    json.key("IdentityToken").string(identity).end_object();
    co_return co_await context.send_json(200, std::move(answer));
}

}  // namespace davit::api
