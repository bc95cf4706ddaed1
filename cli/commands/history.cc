// davit history
#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/platform_query.h"
#include "cli/table_writer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct HistoryOptions {
    std::string format;
    bool human = true;
    bool no_trunc = false;
    std::string platform;
    bool quiet = false;
};

constexpr Flag history_flags[] = {
    flag<HistoryOptions, &HistoryOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.ID}} {{.CreatedBy}}'"),
    flag<HistoryOptions, &HistoryOptions::human>(
        "human", 'H', "", "Print sizes and dates in human readable format (default true)"),
    flag<HistoryOptions, &HistoryOptions::no_trunc>("no-trunc", 0, "", "Do not shorten anything"),
    flag<HistoryOptions, &HistoryOptions::platform>(
        "platform", 0, "string", "Platform that the image must be for (os/arch[/variant])"),
    flag<HistoryOptions, &HistoryOptions::quiet>("quiet", 'q', "", "Show only image IDs"),
};

constexpr ListField history_fields[] = {
    {"Comment", "COMMENT"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedBy", "CREATED BY"},
    {"CreatedSince", "CREATED"},
    {"ID", "IMAGE"},
    {"Size", "SIZE"},
};
constexpr std::string_view human_table =
    "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
constexpr std::string_view exact_table =
    "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
constexpr std::size_t layer_id_digits = 12;
constexpr std::size_t created_by_width = 45;
constexpr int layer_size_digits = 3;

std::string id_text(std::string_view id, bool whole) {
    constexpr std::string_view prefix = "sha256:";
    if (!whole && id.starts_with(prefix)) {
        id = id.substr(prefix.size(), layer_id_digits);
    }
    return std::string(id);
}

Result<ListRow> row_of(const JsonValue& step, const HistoryOptions& options, WallTime now) {
    TRY(const std::string id, step.string_or("Id", ""));
    TRY(const std::int64_t created_seconds, step.int64_or("Created", 0));
    TRY(std::string created_by, step.string_or("CreatedBy", ""));
    TRY(const std::int64_t size, step.int64_or("Size", 0));
    TRY(const std::string comment, step.string_or("Comment", ""));
    const WallTime created = wall_from_unix_nanoseconds(created_seconds * 1'000'000'000);
    const std::string created_at = local_second_text(created);
    std::ranges::replace(created_by, '\t', ' ');
    std::string since = created_at;
    if (options.human) {
        since = created_seconds == 0 ? "N/A" : duration_text(now - created) + " ago";
    }
    ListRow row;
    row.values = {
        comment,
        created_at,
        options.no_trunc ? created_by : text_ellipsis(created_by, created_by_width),
        since,
        id_text(id, options.no_trunc),
        options.human ? size_text(static_cast<double>(size), layer_size_digits)
                      : std::to_string(size),
    };
    return row;
}

Task<int> history(Context& context, HistoryOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/images/" + percent_encode(arguments[0], true) + "/history"};
    CO_CHECK(platform_query_add(call, options.platform));
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> steps, document.root().as_array());
    std::vector<ListRow> rows;
    const WallTime now = wall_now();
    for (const JsonValue& step : steps) {
        CO_TRY(ListRow row, row_of(step, options, now));
        rows.push_back(std::move(row));
    }
    const bool is_table = options.format.empty() || options.format == "table";
    CO_CHECK(list_print(context.out,
                        options.quiet && is_table ? "{{.ID}}" : std::string_view(options.format),
                        options.human ? human_table : exact_table,
                        history_fields,
                        rows));
    co_return 0;
}

}  // namespace

constexpr Command history_command{
    .name = "history",
    .group = "image",
    .group_names = "history",
    .usage = "[OPTIONS] IMAGE",
    .summary = "Show how an image was made",
    .count = {.min = 1, .max = 1},
    .flags = history_flags,
    .body = command_body<HistoryOptions, history>,
};

}  // namespace davit::cli
