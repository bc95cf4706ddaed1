// Logins in config.json: find, store, erase.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <functional>

#include <fmt/format.h>

#include "cli/auth_config.h"
#include "cli/json_text.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/registry/base64.h"
#include "reactor/base/fd.h"

namespace davit::cli {

namespace {

/// The file itself, where config.json is a symbolic link to it: people keep it elsewhere.
std::string config_path(const std::string& directory) {
    const std::string path = directory + "/config.json";
    char* real = ::realpath(path.c_str(), nullptr);
    if (real == nullptr) {
        return path;
    }
    std::string found = real;
    ::free(real);
    return found;
}

/// "{}" if there is no file.
Result<JsonDocument> config_parse(const std::string& directory) {
    const std::string path = config_path(directory);
    Result<std::string> text = file_read(path);
    if (!text && text.error().errno_value() != ENOENT && text.error().errno_value() != ENOTDIR) {
        return std::move(text).error();
    }
    Result<JsonDocument> document =
        JsonDocument::parse(text && !text->empty() ? std::string_view(*text) : "{}");
    if (!document) {
        return std::move(document).error().context("read", path);
    }
    return document;
}

bool is_same_server(std::string_view name, std::string_view server) {
    return name == server || auth_key(name) == server;
}

/// config.json again, with the entries of "auths" but the server's, and then what add writes.
Result<std::string> config_edit(const JsonValue& root,
                                std::string_view server,
                                const std::function<void(JsonWriter&)>& add) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("auths").begin_object();
    TRY(const JsonValue auths, root.object("auths"));
    TRY(const auto entries, auths.as_object());
    for (const auto& [name, entry] : entries) {
        if (!is_same_server(name, server)) {
            json.key(name).raw(entry.to_json());
        }
    }
    add(json);
    json.end_object();
    TRY(const auto members, root.as_object());
    for (const auto& [name, value] : members) {
        if (name != "auths") {
            json.key(name).raw(value.to_json());
        }
    }
    json.end_object();
    return json_indented(out, "", "\t");
}

Result<void> config_write(const std::string& directory, std::string_view text) {
    TRY_VOID(make_directories(directory, 0700));
    const std::string path = config_path(directory);

    struct stat before {};

    const mode_t mode = ::stat(path.c_str(), &before) == 0 ? before.st_mode & 0777U : 0600U;
    return file_replace(AT_FDCWD, path, text, mode);
}

}  // namespace

std::string auth_key(std::string_view server) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (server.starts_with(scheme)) {
            server.remove_prefix(scheme.size());
        }
    }
    const std::string_view host = server.substr(0, server.find('/'));
    const bool hub = host.empty() || host == "docker.io" || host == "index.docker.io" ||
                     host == "registry-1.docker.io";
    return std::string(hub ? hub_key : host);
}

Result<std::optional<StoredLogin>> login_find(const std::string& directory,
                                              std::string_view server) {
    TRY(const JsonDocument document, config_parse(directory));
    TRY(const JsonValue auths, document.root().object("auths"));
    TRY(const auto entries, auths.as_object());
    for (const auto& [name, entry] : entries) {
        if (!is_same_server(name, server)) {
            continue;
        }
        StoredLogin login;
        TRY(login.identity_token, entry.string_or("identitytoken", ""));
        TRY(const std::string auth, entry.string_or("auth", ""));
        TRY(const std::string pair, base64_decode(auth));
        login.username = pair.substr(0, pair.find(':'));
        if (const std::size_t colon = pair.find(':'); colon != std::string::npos) {
            login.password = pair.substr(colon + 1);
        }
        if (!login.username.empty() || !login.identity_token.empty()) {
            return std::optional<StoredLogin>(std::move(login));
        }
    }
    return std::optional<StoredLogin>();
}

Result<void> login_store_check(const std::string& directory, std::string_view server) {
    TRY(const JsonDocument document, config_parse(directory));
    TRY(const JsonValue helpers, document.root().object("credHelpers"));
    TRY(std::string helper, helpers.string_or(server, ""));
    if (helper.empty()) {
        TRY(helper, document.root().string_or("credsStore", ""));
    }
    if (helper.empty()) {
        return ok;
    }
    return Error(ErrorKind::unsupported,
                 fmt::format("{}/config.json wants the credential helper \"{}\" to keep logins, "
                             "which davit does not call: use docker login, or remove credsStore "
                             "and credHelpers there",
                             directory,
                             helper));
}

Result<void> login_store(const std::string& directory,
                         std::string_view server,
                         const StoredLogin& login) {
    TRY(const JsonDocument document, config_parse(directory));
    const auto add = [&](JsonWriter& json) {
        json.key(server).begin_object();
        json.key("auth").string(base64_encode(login.username + ":" + login.password));
        if (!login.identity_token.empty()) {
            json.key("identitytoken").string(login.identity_token);
        }
        json.end_object();
    };
    TRY(const std::string text, config_edit(document.root(), server, add));
    return config_write(directory, text);
}

Result<bool> login_erase(const std::string& directory, std::string_view server) {
    TRY(const std::optional<StoredLogin> stored, login_find(directory, server));
    if (!stored) {
        return false;
    }
    TRY(const JsonDocument document, config_parse(directory));
    TRY(const std::string text, config_edit(document.root(), server, [](JsonWriter&) {}));
    TRY_VOID(config_write(directory, text));
    return true;
}

}  // namespace davit::cli
