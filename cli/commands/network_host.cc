// davit network uninstall, network stats: the host's side of davit's networks.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/offline.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct UninstallOptions {
    std::string data_root = "/var/lib/davit";
    std::string run_dir = "/run/davit";
};

constexpr Flag uninstall_flags[] = {
    flag<UninstallOptions, &UninstallOptions::data_root>(
        "data-root", 0, "dir", "Of the daemon whose networks these are (default /var/lib/davit)"),
    flag<UninstallOptions, &UninstallOptions::run_dir>(
        "run-dir", 0, "dir", "Its run directory (default /run/davit)"),
};

std::string joined(const std::vector<std::string>& names) {
    return fmt::format("{}", fmt::join(names, ", "));
}

Task<int> uninstall(Context& context, UninstallOptions options, Arguments /*arguments*/) {
    if (network_uninstall == nullptr) {
        co_return Error(ErrorKind::unsupported, "this davit is built without its daemon");
    }
    CO_TRY(const std::string body, co_await network_uninstall(options.data_root, options.run_dir));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    static constexpr std::pair<const char*, const char*> kinds[] = {
        {"Links", "links"},
        {"Filtered", "filters on"},
        {"Hooks", "socket hooks"},
        {"Maps", "maps"},
    };
    bool any = false;
    for (const auto& [key, what] : kinds) {
        CO_TRY(const std::vector<std::string> names, document.root().strings(key));
        if (!names.empty()) {
            context.out.line(fmt::format("removed {}: {}", what, joined(names)));
            any = true;
        }
    }
    if (!any) {
        context.out.line("there was nothing to remove");
    }
    co_return 0;
}

struct StatsOptions {
    std::string format;
};

constexpr Flag stats_flags[] = {
    flag<StatsOptions, &StatsOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Name}} {{.Packets}}'"),
};

constexpr ListField stats_fields[] = {
    {"Name", "NAME"},
    {"Dropped", "DROPPED"},
    {"Packets", "PACKETS"},
    {"Bytes", "BYTES"},
    {"Meaning", "MEANING"},
};

constexpr std::string_view stats_table = "{{.Name}}\t{{.Packets}}\t{{.Bytes}}\t{{.Meaning}}";

Task<int> stats(Context& context, StatsOptions options, Arguments /*arguments*/) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/davit/network/stats"};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::vector<JsonValue> counters, document.root().as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& counter : counters) {
        CO_TRY(const std::string name, counter.string_or("Name", ""));
        CO_TRY(const bool dropped, counter.bool_or("Dropped", false));
        CO_TRY(const std::int64_t packets, counter.int64_or("Packets", 0));
        CO_TRY(const std::int64_t bytes, counter.int64_or("Bytes", 0));
        CO_TRY(const std::string meaning, counter.string_or("Meaning", ""));
        rows.push_back({{name,
                         dropped ? "true" : "false",
                         std::to_string(packets),
                         std::to_string(bytes),
                         meaning}});
    }
    CO_CHECK(list_print(context.out, options.format, stats_table, stats_fields, rows));
    co_return 0;
}

}  // namespace

constexpr Command network_uninstall_command{
    .group = "network",
    .group_names = "uninstall",
    .usage = "[OPTIONS]",
    .summary = "Take davit's networking off this host, when no daemon runs and nobody uses it",
    .count = {.max = 0},
    .flags = uninstall_flags,
    .body = command_body<UninstallOptions, uninstall>,
};

constexpr Command network_stats_command{
    .group = "network",
    .group_names = "stats",
    .usage = "[OPTIONS]",
    .summary = "Count what became of packets, and why some were dropped",
    .count = {.max = 0},
    .flags = stats_flags,
    .body = command_body<StatsOptions, stats>,
};

}  // namespace davit::cli
