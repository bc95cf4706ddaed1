#include "http/registry/registry_error.h"

#include <optional>

#include "http/json_reader.h"
#include "http/registry/challenge.h"

namespace davit {

namespace {

/// The most of a body that is shown when it is not a registry's error document.
constexpr std::size_t shown_bytes_max = 200;

struct RegistryErrorItem {
    std::string code;
    std::string message;

    /// "manifest unknown: manifest unknown", as Docker prints one.
    std::string text() const {
        std::string out;
        for (const char c : code) {
            out.push_back(c == '_' ? ' '
                                   : (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c));
        }
        if (!message.empty()) {
            out.append(out.empty() ? "" : ": ").append(message);
        }
        return out;
    }
};

std::optional<RegistryErrorItem> item_parse(std::string_view body) {
    Result<JsonDocument> document = JsonDocument::parse(body);
    if (!document) {
        return std::nullopt;
    }
    const JsonValue root = document->root();
    RegistryErrorItem item;
    Result<std::vector<JsonValue>> errors = root.member("errors").as_array();
    if (errors && !errors->empty()) {
        item.code = errors->front().string_or("code", "").has_value()
                        ? *errors->front().string_or("code", "")
                        : "";
        item.message = errors->front().string_or("message", "").has_value()
                           ? *errors->front().string_or("message", "")
                           : "";
    } else {
        // Token servers and object stores: {"details": ...} or {"message": ...}.
        for (const char* key : {"details", "message", "error_description", "error"}) {
            Result<std::string> text = root.string_or(key, "");
            if (text && !text->empty()) {
                item.message = *std::move(text);
                break;
            }
        }
    }
    if (item.code.empty() && item.message.empty()) {
        return std::nullopt;
    }
    return item;
}

/// A refused token says why in the challenge, before the body does. Follows: RFC 6750 section 3.1.
std::optional<RegistryErrorItem> item_of_challenge(const ResponseHead& head) {
    for (const AuthChallenge& challenge : challenges_parse(head.headers)) {
        const std::string_view error = challenge.parameter("error");
        const std::string_view description = challenge.parameter("error_description");
        if (error == "insufficient_scope") {
            return RegistryErrorItem{"DENIED",
                                     description.empty()
                                         ? "requested access to the resource is denied"
                                         : std::string(description)};
        }
        if (error == "invalid_token") {
            return RegistryErrorItem{
                "UNAUTHORIZED",
                description.empty() ? "authentication required" : std::string(description)};
        }
    }
    return std::nullopt;
}

/// What an answer to HEAD, which has no body, can only mean.
std::optional<RegistryErrorItem> item_of_status(int status, bool pushing) {
    if (status == 401) {
        return RegistryErrorItem{"UNAUTHORIZED", "authentication required"};
    }
    if (status == 403 && pushing) {
        return RegistryErrorItem{"DENIED", "requested access to the resource is denied"};
    }
    return std::nullopt;
}

ErrorKind kind_of_status(int status) {
    switch (status) {
        case 401:
            return ErrorKind::unauthorized;
        case 403:
            return ErrorKind::permission_denied;
        case 404:
            return ErrorKind::not_found;
        case 429:
            return ErrorKind::resource_exhausted;
        default:
            return status >= 500 ? ErrorKind::unavailable : ErrorKind::internal;
    }
}

}  // namespace

Error registry_error(const ResponseHead& head,
                     std::string_view body,
                     const RegistrySubject& subject) {
    std::optional<RegistryErrorItem> item;
    if (head.status == 401) {
        item = item_of_challenge(head);
    }
    if (!item) {
        item = item_parse(body);
    }
    if (!item && body.empty()) {
        item = item_of_status(head.status, subject.pushing);
    }
    if (!item) {
        std::string text = "unexpected status from the registry: " + std::to_string(head.status) +
                           " " + status_reason(head.status);
        if (!body.empty()) {
            text.append(": ").append(body.substr(0, shown_bytes_max));
        }
        return Error(kind_of_status(head.status), std::move(text));
    }
    if (item->code.empty() && head.status == 401) {
        item->code = "UNAUTHORIZED";  // A token server's reason, without a code.
    }
    if (subject.pushing) {
        return Error(kind_of_status(head.status), item->text());
    }
    if (item->code == "DENIED") {
        return Error(
            ErrorKind::not_found,
            "pull access denied for " + subject.familiar_name +
                ", repository does not exist or may require 'docker login': " + item->text());
    }
    if (item->code == "MANIFEST_UNKNOWN") {
        return Error(ErrorKind::not_found,
                     "manifest for " + subject.familiar + " not found: " + item->text());
    }
    if (item->code == "NAME_UNKNOWN") {
        return Error(ErrorKind::not_found,
                     "repository " + subject.familiar_name + " not found: " + item->text());
    }
    return Error(kind_of_status(head.status), item->text());
}

}  // namespace davit
