// davit volume create, ls, rm, prune
#include <algorithm>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_options.h"
#include "cli/container_request.h"
#include "cli/list_printer.h"
#include "cli/prune.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

std::string volume_path(std::string_view name) {
    return "/volumes/" + percent_encode(name, false);
}

struct CreateVolumeOptions {
    std::string driver = "local";
    KeyValues labels;
    KeyValues options;
    std::string name;
};

constexpr Flag create_volume_flags[] = {
    flag<CreateVolumeOptions, &CreateVolumeOptions::driver>(
        "driver", 'd', "string", "Volume driver"),
    flag<CreateVolumeOptions, &CreateVolumeOptions::labels>("label", 0, "list", "Set a label"),
    flag<CreateVolumeOptions, &CreateVolumeOptions::name>("name", 0, "string", ""),
    flag<CreateVolumeOptions, &CreateVolumeOptions::options>(
        "opt", 'o', "map", "Option of the driver (type, device, o: as of mount(8))"),
};

Task<int> create(Context& context, CreateVolumeOptions options, Arguments arguments) {
    if (!options.name.empty() && !arguments.empty()) {
        co_return Error(
            ErrorKind::invalid_argument,
            "conflicting options: cannot specify a volume-name through both --name and as a "
            "positional arg");
    }
    const std::string name = arguments.empty() ? options.name : arguments[0];
    ApiCall call{"POST", "/volumes/create"};
    JsonWriter json(call.body);
    json.begin_object();
    json_string_if(json, "Name", name);
    json.key("Driver").string(options.driver);
    json_map_if(json, "DriverOpts", options.options);
    json_map_if(json, "Labels", options.labels);
    json.end_object();
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const std::string created, document.root().string_or("Name", ""));
    context.out.line(created);
    co_return 0;
}

struct ListOptions {
    std::vector<std::string> filters;
    std::string format;
    bool quiet = false;
};

constexpr Flag list_volume_flags[] = {
    flag<ListOptions, &ListOptions::filters>(
        "filter", 'f', "filter", "Show what fulfils key=value (dangling, driver, label, name)"),
    flag<ListOptions, &ListOptions::format>(
        "format", 0, "string", "table, json, or a template like '{{.Name}} {{.Driver}}'"),
    flag<ListOptions, &ListOptions::quiet>("quiet", 'q', "", "Show only names"),
};

constexpr ListField fields[] = {
    {"Availability", "AVAILABILITY"},
    {"Driver", "DRIVER"},
    {"Group", "GROUP"},
    {"Labels", "LABELS"},
    {"Links", "LINKS"},
    {"Mountpoint", "MOUNTPOINT"},
    {"Name", "VOLUME NAME"},
    {"Scope", "SCOPE"},
    {"Size", "SIZE"},
    {"Status", "STATUS"},
};

constexpr std::string_view default_table = "{{.Driver}}\t{{.Name}}";

Result<ListRow> row_make(const JsonValue& volume) {
    const std::string unknown = "N/A";  // What only clusters and `system df` tell.
    TRY(const std::string driver, volume.string_or("Driver", ""));
    TRY(const std::string mountpoint, volume.string_or("Mountpoint", ""));
    TRY(const std::string name, volume.string_or("Name", ""));
    TRY(const std::string scope, volume.string_or("Scope", ""));
    TRY(const auto labels, volume.member("Labels").as_string_map());
    ListRow row;
    std::string joined;
    for (const auto& [key, value] : labels) {
        joined += (joined.empty() ? "" : ",") + key + "=" + value;
        row.labels.emplace_back(key, value);
    }
    row.values = {
        unknown, driver, unknown, joined, unknown, mountpoint, name, scope, unknown, unknown};
    return row;
}

Task<int> list(Context& context, ListOptions options, Arguments /*arguments*/) {
    ApiCall call{"GET", "/volumes"};
    CO_TRY(std::string filters, filters_json(options.filters));
    if (!filters.empty()) {
        call.query.add("filters", std::move(filters));
    }
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    CO_TRY(const JsonValue volumes, document.root().array("Volumes"));
    CO_TRY(const std::vector<JsonValue> items, volumes.as_array());
    std::vector<ListRow> rows;
    for (const JsonValue& item : items) {
        CO_TRY(ListRow row, row_make(item));
        rows.push_back(std::move(row));
    }
    const std::string_view format = options.quiet ? "{{.Name}}" : std::string_view(options.format);
    CO_CHECK(list_print(context.out, format, default_table, fields, rows));
    co_return 0;
}

struct RemoveVolumeOptions {
    bool force = false;
};

constexpr Flag remove_volume_flags[] = {
    flag<RemoveVolumeOptions, &RemoveVolumeOptions::force>(
        "force", 'f', "", "What is not there is as good as removed"),
};

Task<int> remove(Context& context, RemoveVolumeOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    std::string failures;
    for (const std::string& name : arguments) {
        ApiCall call{"DELETE", volume_path(name)};
        if (options.force) {
            call.query.add("force", "1");
        }
        const Result<std::string> removed = co_await api->call(std::move(call));
        if (removed) {
            context.out.line(name);
        } else {
            failures += (failures.empty() ? "" : "\n") + removed.error().message();
        }
    }
    if (failures.empty()) {
        co_return 0;
    }
    context.out.flush();
    context.err.line(failures);
    co_return exit_failure;
}

struct PruneVolumeOptions {
    bool all = false;
    std::vector<std::string> filters;
    bool force = false;
};

constexpr Flag prune_volume_flags[] = {
    flag<PruneVolumeOptions, &PruneVolumeOptions::all>(
        "all", 'a', "", "Remove all unused volumes, not only anonymous ones"),
    flag<PruneVolumeOptions, &PruneVolumeOptions::filters>(
        "filter", 0, "filter", "Remove only what fulfils key=value (label, label!)"),
    flag<PruneVolumeOptions, &PruneVolumeOptions::force>("force", 'f', "", "Do not ask"),
};

Task<int> prune(Context& context, PruneVolumeOptions options, Arguments /*arguments*/) {
    if (options.all) {
        options.filters.emplace_back("all=true");
    }
    if (!options.force) {
        std::string what = fmt::format(" {} local volumes not used by at least one container.",
                                       options.all ? "all" : "anonymous");
        CO_CHECK(co_await prune_confirm(context, std::move(what), "volume prune"));
    }
    CO_TRY(const std::uint64_t bytes,
           co_await prune_run(context, prune_volumes, std::move(options.filters)));
    prune_total_print(context, bytes);
    co_return 0;
}

}  // namespace

constexpr Command volume_create_command{
    .group = "volume",
    .group_names = "create",
    .usage = "[OPTIONS] [VOLUME]",
    .summary = "Create a volume",
    .count = {.max = 1},
    .flags = create_volume_flags,
    .body = command_body<CreateVolumeOptions, create>,
};

constexpr Command volume_ls_command{
    .group = "volume",
    .group_names = "ls list",
    .usage = "[OPTIONS]",
    .summary = "List volumes",
    .count = {.max = 0},
    .flags = list_volume_flags,
    .body = command_body<ListOptions, list>,
};

constexpr Command volume_rm_command{
    .group = "volume",
    .group_names = "rm remove",
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .summary = "Remove one or more volumes",
    .count = {.min = 1},
    .flags = remove_volume_flags,
    .body = command_body<RemoveVolumeOptions, remove>,
};

constexpr Command volume_prune_command{
    .group = "volume",
    .group_names = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove unused volumes",
    .count = {.max = 0},
    .flags = prune_volume_flags,
    .body = command_body<PruneVolumeOptions, prune>,
};

}  // namespace davit::cli
