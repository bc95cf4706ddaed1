// davit image referrers
#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "graph/reference.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct ReferrersOptions {
    std::string artifact_type;
    std::string format;
};

constexpr Flag referrers_flags[] = {
    flag<ReferrersOptions, &ReferrersOptions::artifact_type>(
        "artifact-type", 0, "string", "Show only what is of this type"),
    flag<ReferrersOptions, &ReferrersOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Digest}} {{.ArtifactType}}'"),
};

constexpr ListField referrers_fields[] = {
    {"Digest", "DIGEST"},
    {"ArtifactType", "ARTIFACT TYPE"},
    {"Size", "SIZE"},
    {"MediaType", "MEDIA TYPE"},
    {"Annotations", "ANNOTATIONS"},
};
constexpr std::string_view referrers_table = "{{.Digest}}\t{{.ArtifactType}}\t{{.Size}}";

Result<ListRow> row_of(const JsonValue& referrer) {
    ListRow row;
    for (const char* key : {"digest", "artifactType"}) {
        TRY(std::string value, referrer.string_or(key, ""));
        row.values.push_back(std::move(value));
    }
    TRY(const std::int64_t size, referrer.int64_or("size", 0));
    row.values.push_back(std::to_string(size));
    TRY(std::string media_type, referrer.string_or("mediaType", ""));
    row.values.push_back(std::move(media_type));
    TRY(const auto annotations, referrer.string_map("annotations"));
    std::string all;
    for (const auto& [name, value] : annotations) {
        all.append(all.empty() ? "" : ",").append(name).append("=").append(value);
    }
    row.values.push_back(std::move(all));
    return row;
}

Task<int> referrers(Context& context, ReferrersOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const Reference reference, Reference::parse(arguments[0]));
    CO_TRY(const RegistryAuth auth, registry_auth(context.config_directory(), reference.domain()));
    ApiCall call{"GET", "/davit/referrers/" + percent_encode(arguments[0], true)};
    if (!options.artifact_type.empty()) {
        call.query.add("artifactType", options.artifact_type);
    }
    if (!auth.header.empty()) {
        call.headers.add("X-Registry-Auth", auth.header);
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const JsonValue list, document.root().array("Referrers"));
    CO_TRY(const std::vector<JsonValue> items, list.as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& item : items) {
        CO_TRY(ListRow row, row_of(item));
        rows.push_back(std::move(row));
    }
    CO_CHECK(list_print(context.out, options.format, referrers_table, referrers_fields, rows));
    co_return 0;
}

}  // namespace

constexpr Command image_referrers_command{
    .group = "image",
    .group_names = "referrers",
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .summary = "List what a registry has about an image: signatures, attestations, lists of parts",
    .count = {.min = 1, .max = 1},
    .flags = referrers_flags,
    .body = command_body<ReferrersOptions, referrers>,
};

}  // namespace davit::cli
