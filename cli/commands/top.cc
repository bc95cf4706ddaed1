// davit top, diff
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/table_writer.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct NoOptions {};

/// docker's columns of processes are wider than those of its lists.
constexpr std::size_t column_width_min = 20;

Task<int> top(Context& context, NoOptions, Arguments arguments) {
    ApiCall call{"GET", container_path(arguments[0], "top")};
    std::string words;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        words.append(words.empty() ? "" : " ").append(arguments[i]);
    }
    if (!words.empty()) {
        call.query.add("ps_args", std::move(words));
    }
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    TableWriter table(column_width_min);
    CO_TRY(std::vector<std::string> titles, document.root().strings("Titles"));
    table.row(std::move(titles));
    CO_TRY(const JsonValue list, document.root().array("Processes"));
    CO_TRY(const std::vector<JsonValue> processes, list.as_array());
    for (const JsonValue& process : processes) {
        CO_TRY(const std::vector<JsonValue> values, process.as_array());
        std::vector<std::string> cells;
        for (const JsonValue& value : values) {
            CO_TRY(const std::string_view cell, value.as_string());
            cells.emplace_back(cell);
        }
        table.row(std::move(cells));
    }
    context.out.write(table.text());
    co_return 0;
}

Task<int> diff(Context& context, NoOptions, Arguments arguments) {
    if (arguments[0].empty()) {
        co_return Error(ErrorKind::invalid_argument, "Container name cannot be empty");
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", container_path(arguments[0], "changes")};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> changes, document.root().as_array());
    for (const JsonValue& change : changes) {
        CO_TRY(const std::int64_t kind, change.int64_or("Kind", 0));
        CO_TRY(const std::string path, change.string_or("Path", ""));
        constexpr std::string_view letters = "CAD";
        const auto at = static_cast<std::size_t>(kind);
        context.out.line(std::string(1, at < letters.size() ? letters[at] : '?') + " " + path);
    }
    co_return 0;
}

}  // namespace

constexpr Command top_command{
    .name = "top",
    .group = "container",
    .group_names = "top",
    .usage = "CONTAINER [ps OPTIONS]",
    .summary = "Display the running processes of a container",
    .count = {.min = 1},
    .interspersed = false,
    .body = command_body<NoOptions, top>,
};

constexpr Command diff_command{
    .name = "diff",
    .group = "container",
    .group_names = "diff",
    .usage = "CONTAINER",
    .summary = "Inspect changes to files or directories on a container's filesystem",
    .count = {.min = 1, .max = 1},
    .body = command_body<NoOptions, diff>,
};

}  // namespace davit::cli
