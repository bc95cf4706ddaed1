#include "http/api/platform_json.h"

#include "http/json_reader.h"

namespace davit {

namespace {

Result<Platform> fields_read(const JsonValue& root) {
    Platform platform;
    TRY(platform.os, root.string_or("os", ""));
    TRY(platform.architecture, root.string_or("architecture", ""));
    TRY(platform.variant, root.string_or("variant", ""));
    TRY(platform.os_version, root.string_or("os.version", ""));
    TRY(platform.os_features, root.strings("os.features"));
    return platform;
}

}  // namespace

Result<std::optional<Platform>> platform_json_parse(std::string_view text) {
    if (text.empty()) {
        return std::optional<Platform>();
    }
    const Result<JsonDocument> document = JsonDocument::parse(text);
    if (!document) {
        return Error(ErrorKind::invalid_argument,
                     "failed to parse platform: " + document.error().message());
    }
    if (!document->root().is(JsonValue::Type::object)) {
        return Error(ErrorKind::invalid_argument, "failed to parse platform: it is no object");
    }
    const Result<Platform> platform = fields_read(document->root());
    if (!platform) {
        return Error(ErrorKind::invalid_argument,
                     "failed to parse platform: " + platform.error().message());
    }
    if (platform->os.empty() || platform->architecture.empty()) {
        return Error(ErrorKind::invalid_argument, "both OS and Architecture must be provided");
    }
    return std::optional<Platform>(platform->normalized());
}

}  // namespace davit
