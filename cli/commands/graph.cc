// davit graph check, graph show: what is recorded, what is on disk, and whether the two agree.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/offline.h"
#include "cli/table_writer.h"
#include "cli/units.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct CheckOptions {
    bool repair = false;
    bool json = false;
    std::string data_root;
    std::string run_dir = "/run/davit";
};

constexpr Flag check_flags[] = {
    flag<CheckOptions, &CheckOptions::repair>("repair", 0, "", "Mend what can be mended"),
    flag<CheckOptions, &CheckOptions::json>("json", 0, "", "Print the daemon's whole answer"),
    flag<CheckOptions, &CheckOptions::data_root>(
        "data-root", 0, "dir", "Check this data root, which no daemon may be using"),
    flag<CheckOptions, &CheckOptions::run_dir>(
        "run-dir", 0, "dir", "With --data-root: where its containers of this boot are"),
};

Task<std::string> report_get(Context& context, const CheckOptions& options) {
    if (!options.data_root.empty()) {
        if (graph_offline == nullptr) {
            co_return Error(ErrorKind::unsupported, "this davit is built without its daemon");
        }
        co_return co_await graph_offline(options.data_root, options.run_dir, options.repair);
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{options.repair ? "POST" : "GET",
                 options.repair ? "/davit/graph/repair" : "/davit/graph/check"};
    Result<std::string> answer = co_await api->call(std::move(call));
    if (!answer && answer.error().kind() == ErrorKind::unavailable) {
        context.err.line("Without a daemon give the data root: davit graph check --data-root DIR");
    }
    co_return std::move(answer);
}

/// "3 layers, 12 images, ..."
Result<std::string> counts_text(const JsonValue& report) {
    static constexpr std::pair<const char*, const char*> keys[] = {
        {"Images", "images"},
        {"References", "names"},
        {"Layers", "layers"},
        {"Chains", "chains"},
        {"Containers", "containers"},
        {"Leases", "leases"},
        {"LayerDirectories", "layer directories"},
        {"ContainerDirectories", "container directories"},
    };
    std::string text;
    for (const auto& [key, name] : keys) {
        TRY(const std::int64_t count, report.int64_or(key, 0));
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
    }
    return text;
}

Task<int> graph_check(Context& context, CheckOptions options, Arguments) {
    CO_TRY(const std::string body, co_await report_get(context, options));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue report = document.root();
    CO_TRY(const std::vector<std::string> findings, report.strings("Findings"));
    CO_TRY(const std::vector<std::string> repairs, report.strings("Repairs"));
    CO_TRY(const std::string driver, report.string_or("Driver", ""));
    if (options.json) {
        context.out.line(body);
    } else {
        for (const std::string& repair : repairs) {
            context.out.line("repaired: " + repair);
        }
        for (const std::string& finding : findings) {
            context.out.line("wrong: " + finding);
        }
        CO_TRY(const std::string counts, counts_text(report));
        context.out.line(fmt::format("{}: {}", driver, counts));
        context.out.line(findings.empty() ? "everything agrees"
                                          : fmt::format("{} wrong", findings.size()));
    }
    co_return findings.empty() ? 0 : exit_failure;
}

struct ShowOptions {};

Task<int> graph_show(Context& context, ShowOptions, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/davit/graph/images/" + percent_encode(arguments[0], true)};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue image = document.root();
    const auto size = [](const JsonValue& value, const char* key) -> Result<std::string> {
        TRY(const std::int64_t bytes, value.int64_or(key, 0));
        return size_text(static_cast<double>(bytes), 4);
    };
    CO_TRY(const std::string name, image.string_or("Name", ""));
    CO_TRY(const std::string id, image.string_or("Id", ""));
    CO_TRY(const std::string total, size(image, "Size"));
    CO_TRY(const std::string shared, size(image, "SharedSize"));
    CO_TRY(const std::string unique, size(image, "UniqueSize"));
    context.out.line(
        fmt::format("{} {}  {} = {} shared + {} unique", name, id, total, shared, unique));
    CO_TRY(const std::vector<JsonValue> layers, image.member("Layers").as_array());
    TableWriter table;
    // The uppermost first, as it hides those below it.
    for (std::size_t i = layers.size(); i-- > 0;) {
        const JsonValue& layer = layers[i];
        CO_TRY(const std::string diff, layer.string_or("DiffId", ""));
        CO_TRY(const std::string directory, layer.string_or("Directory", ""));
        CO_TRY(const std::string bytes, size(layer, "Size"));
        CO_TRY(const std::vector<std::string> others, layer.strings("SharedWith"));
        std::string with = others.empty() ? "unique" : "shared with";
        for (const std::string& other : others) {
            with += " " + other;
        }
        table.row({(i == 0 ? "└─ " : "├─ ") + diff.substr(0, 19), bytes, directory, with});
    }
    context.out.write(table.text());
    co_return 0;
}

}  // namespace

constexpr Command graph_check_command{
    .group = "graph",
    .group_names = "check",
    .usage = "[OPTIONS]",
    .summary = "Compare what is recorded of images and containers with what is on disk",
    .count = {.min = 0, .max = 0},
    .flags = check_flags,
    .body = command_body<CheckOptions, graph_check>,
};

constexpr Command graph_show_command{
    .group = "graph",
    .group_names = "show",
    .usage = "IMAGE",
    .summary = "Show the layers of an image, and which images share them",
    .count = {.min = 1, .max = 1},
    .body = command_body<ShowOptions, graph_show>,
};

}  // namespace davit::cli
