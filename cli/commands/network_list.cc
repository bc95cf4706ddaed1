// davit network ls
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct ListOptions {
    std::vector<std::string> filters;
    std::string format;
    bool no_trunc = false;
    bool quiet = false;
};

constexpr Flag list_flags[] = {
    flag<ListOptions, &ListOptions::filters>(
        "filter", 'f', "filter", "Show what fulfils key=value"),
    flag<ListOptions, &ListOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.ID}} {{.Name}}'"),
    flag<ListOptions, &ListOptions::no_trunc>("no-trunc", 0, "", "Do not shorten columns"),
    flag<ListOptions, &ListOptions::quiet>("quiet", 'q', "", "Show only IDs"),
};

constexpr ListField fields[] = {
    {"CreatedAt", "CREATED AT"},
    {"Driver", "DRIVER"},
    {"ID", "NETWORK ID"},
    {"IPv4", "IPV4"},
    {"IPv6", "IPV6"},
    {"Internal", "INTERNAL"},
    {"Labels", "LABELS"},
    {"Name", "NAME"},
    {"Scope", "SCOPE"},
};

constexpr std::string_view default_table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
constexpr std::size_t short_id_digits = 12;

Result<ListRow> row_make(const JsonValue& network, bool no_trunc) {
    const auto yes = [&](std::string_view key, bool fallback) -> Result<std::string> {
        TRY(const bool value, network.bool_or(key, fallback));
        return std::string(value ? "true" : "false");
    };
    TRY(const std::string created, network.string_or("Created", ""));
    TRY(const std::string driver, network.string_or("Driver", ""));
    TRY(std::string id, network.string_or("Id", ""));
    TRY(const std::string ipv4, yes("EnableIPv4", true));
    TRY(const std::string ipv6, yes("EnableIPv6", false));
    TRY(const std::string internal, yes("Internal", false));
    TRY(const auto labels, network.string_map("Labels"));
    TRY(const std::string name, network.string_or("Name", ""));
    TRY(const std::string scope, network.string_or("Scope", ""));
    const auto time = rfc3339_parse(created);
    ListRow row;
    std::string label_text;
    for (const auto& [key, value] : labels) {
        label_text += (label_text.empty() ? "" : ",") + key + "=" + value;
        row.labels.emplace_back(key, value);
    }
    if (!no_trunc) {
        id.resize(std::min(id.size(), short_id_digits));
    }
    row.values = {time ? date_text(*time) : created,
                  driver,
                  id,
                  ipv4,
                  ipv6,
                  internal,
                  label_text,
                  name,
                  scope};
    return row;
}

Task<int> list(Context& context, ListOptions options, Arguments /*arguments*/) {
    CO_TRY(const std::string filters, filters_json(options.filters));
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/networks"};
    if (!filters.empty()) {
        call.query.add("filters", filters);
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> networks, document.root().as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& network : networks) {
        CO_TRY(ListRow row, row_make(network, options.no_trunc));
        rows.push_back(std::move(row));
    }
    const std::string format = options.quiet ? "{{.ID}}" : options.format;
    CO_CHECK(list_print(context.out, format, default_table, fields, rows));
    co_return 0;
}

}  // namespace

constexpr Command network_ls_command{
    .group = "network",
    .group_names = "ls list",
    .usage = "[OPTIONS]",
    .summary = "List networks",
    .count = {.max = 0},
    .flags = list_flags,
    .body = command_body<ListOptions, list>,
};

}  // namespace davit::cli
