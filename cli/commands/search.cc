// davit search
#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/table_writer.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct SearchOptions {
    std::vector<std::string> filters;
    std::string format;
    std::string limit;
    bool no_trunc = false;
};

constexpr Flag search_flags[] = {
    flag<SearchOptions, &SearchOptions::filters>(
        "filter", 'f', "filter", "Show what fulfils key=value (stars, is-official)"),
    flag<SearchOptions, &SearchOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Name}} {{.StarCount}}'"),
    flag<SearchOptions, &SearchOptions::limit>("limit", 0, "int", "Most results to show"),
    flag<SearchOptions, &SearchOptions::no_trunc>("no-trunc", 0, "", "Show whole descriptions"),
};

constexpr ListField search_fields[] = {
    {"Name", "NAME"},
    {"Description", "DESCRIPTION"},
    {"StarCount", "STARS"},
    {"IsOfficial", "OFFICIAL"},
    {"IsAutomated", "AUTOMATED"},
};
constexpr std::string_view search_table =
    "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
constexpr std::size_t description_width = 45;

Result<ListRow> row_of(const JsonValue& result, bool whole) {
    TRY(const std::string name, result.string_or("name", ""));
    TRY(std::string description, result.string_or("description", ""));
    TRY(const std::int64_t stars, result.int64_or("star_count", 0));
    TRY(const bool official, result.bool_or("is_official", false));
    TRY(const bool automated, result.bool_or("is_automated", false));
    for (char& c : description) {
        c = c == '\n' || c == '\r' ? ' ' : c;
    }
    if (!whole) {
        description = text_ellipsis(description, description_width);
    }
    ListRow row;
    row.values = {name,
                  std::move(description),
                  std::to_string(stars),
                  official ? "[OK]" : "",
                  automated ? "[OK]" : ""};
    return row;
}

/// "localhost:5000/app" is searched for there.
std::string domain_of(const std::string& term) {
    const std::size_t slash = term.find('/');
    const std::string first = term.substr(0, slash);
    const bool is_domain = first.find_first_of(".:") != std::string::npos || first == "localhost";
    return slash != std::string::npos && is_domain ? first : "docker.io";
}

Task<int> search(Context& context, SearchOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const RegistryAuth auth,
           registry_auth(context.config_directory(), domain_of(arguments[0])));
    ApiCall call{"GET", "/images/search"};
    call.query.add("term", arguments[0]);
    if (!options.limit.empty()) {
        call.query.add("limit", options.limit);
    }
    CO_TRY(const std::string filters, filters_json(options.filters));
    if (!filters.empty()) {
        call.query.add("filters", filters);
    }
    if (!auth.header.empty()) {
        call.headers.add("X-Registry-Auth", auth.header);
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> results, document.root().as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& result : results) {
        CO_TRY(ListRow row, row_of(result, options.no_trunc));
        rows.push_back(std::move(row));
    }
    CO_CHECK(list_print(context.out, options.format, search_table, search_fields, rows));
    co_return 0;
}

}  // namespace

constexpr Command search_command{
    .name = "search",
    .usage = "[OPTIONS] TERM",
    .summary = "Look for images in a registry",
    .count = {.min = 1, .max = 1},
    .flags = search_flags,
    .body = command_body<SearchOptions, search>,
};

}  // namespace davit::cli
