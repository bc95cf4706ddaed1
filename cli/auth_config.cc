#include "cli/auth_config.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <fmt/format.h>

#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/registry/base64.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

Result<std::optional<JsonDocument>> config_read(const std::string& directory) {
    const std::string path = directory + "/config.json";
    Result<std::string> text = file_read(path);
    if (!text) {
        if (text.error().errno_value() == ENOENT || text.error().errno_value() == ENOTDIR) {
            return std::optional<JsonDocument>{};
        }
        return std::move(text).error();
    }
    Result<JsonDocument> document = JsonDocument::parse(*text);
    if (!document) {
        return std::move(document.error()).context("read", path);
    }
    return std::optional<JsonDocument>(*std::move(document));
}

/// "https://host/v1/" and "host" are the same registry.
std::string_view host_of(std::string_view key) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (key.starts_with(scheme)) {
            key.remove_prefix(scheme.size());
        }
    }
    return key.substr(0, key.find('/'));
}

Result<JsonValue> entry_find(const JsonValue& root, std::string_view key) {
    TRY(const JsonValue auths, root.object("auths"));
    TRY(const auto entries, auths.as_object());
    for (const auto& [name, entry] : entries) {
        if (name == key || host_of(name) == host_of(key)) {
            return entry;
        }
    }
    return JsonValue();
}

Result<std::string> header_make(const JsonValue& entry, std::string_view key) {
    TRY(std::string username, entry.string_or("username", ""));
    TRY(std::string password, entry.string_or("password", ""));
    TRY(const std::string token, entry.string_or("identitytoken", ""));
    TRY(const std::string registry_token, entry.string_or("registrytoken", ""));
    TRY(const std::string auth, entry.string_or("auth", ""));
    if (!auth.empty()) {
        TRY(const std::string pair, base64_decode(auth));
        const std::size_t colon = pair.find(':');
        if (colon == std::string::npos) {
            return Error(ErrorKind::invalid_argument,
                         fmt::format("invalid auth configuration for {}", key));
        }
        username = pair.substr(0, colon);
        password = pair.substr(colon + 1);
        while (!password.empty() && password.back() == '\0') {
            password.pop_back();
        }
    }
    if (username.empty() && token.empty() && registry_token.empty()) {
        return std::string();
    }
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    const std::pair<std::string_view, std::string_view> members[] = {
        {"username", username},
        {"password", password},
        {"identitytoken", token},
        {"registrytoken", registry_token},
        {"serveraddress", key}};
    for (const auto& [name, value] : members) {
        if (!value.empty()) {
            json.key(name).string(value);
        }
    }
    json.end_object();
    std::string header = base64_encode(text);
    std::ranges::replace(header, '+', '-');
    std::ranges::replace(header, '/', '_');
    return header;
}

/// The program that keeps this registry's credentials; "" if there is none.
Result<std::string> helper_find(const JsonValue& root, std::string_view key) {
    TRY(const JsonValue helpers, root.object("credHelpers"));
    TRY(const std::string helper, helpers.string_or(key, ""));
    if (!helper.empty()) {
        return helper;
    }
    return root.string_or("credsStore", "");
}

}  // namespace

Result<RegistryAuth> registry_auth(const std::string& directory, std::string_view domain) {
    RegistryAuth auth;
    TRY(const std::optional<JsonDocument> document, config_read(directory));
    if (!document) {
        return auth;
    }
    const JsonValue root = document->root();
    const std::string_view key = domain == "docker.io" ? hub_key : domain;
    TRY(const JsonValue entry, entry_find(root, key));
    TRY(auth.header, header_make(entry, key));
    if (auth.header.empty()) {
        TRY(const std::string helper, helper_find(root, key));
        if (!helper.empty()) {
            auth.warning = fmt::format(
                "WARNING: config.json names the credential helper \"{}\", which davit does not "
                "call; continuing without credentials for {}",
                helper,
                domain);
        }
    }
    return auth;
}

std::string configured_detach_keys(const std::string& directory) {
    Result<std::optional<JsonDocument>> document = config_read(directory);
    if (!document || !*document) {
        return "";
    }
    Result<std::string> keys = (*document)->root().string_or("detachKeys", "");
    return keys ? *std::move(keys) : "";
}

}  // namespace davit::cli
