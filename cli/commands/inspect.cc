// davit inspect: containers, then images, networks and volumes.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/format_template.h"
#include "cli/json_text.h"
#include "cli/platform_query.h"

namespace davit::cli {

namespace {

struct InspectOptions {
    std::string format;
    std::string platform;
    bool size = false;
    bool verbose = false;
    std::string type;
};

constexpr Flag inspect_flags[] = {
    flag<InspectOptions, &InspectOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.State.Status}}'"),
    flag<InspectOptions, &InspectOptions::size>("size", 's', "", "Show the sizes of containers"),
    flag<InspectOptions, &InspectOptions::type>(
        "type", 0, "string", "Only container, image, network, or volume"),
};

constexpr Flag image_inspect_flags[] = {
    flag<InspectOptions, &InspectOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.Config.Cmd}}'"),
    flag<InspectOptions, &InspectOptions::platform>(
        "platform", 0, "string", "Platform that the image must be for (os/arch[/variant])"),
};

constexpr Flag network_inspect_flags[] = {
    flag<InspectOptions, &InspectOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.Driver}}'"),
    flag<InspectOptions, &InspectOptions::verbose>("verbose", 'v', "", "The same here"),
};

constexpr Flag volume_inspect_flags[] = {
    flag<InspectOptions, &InspectOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.Mountpoint}}'"),
};

constexpr Flag container_inspect_flags[] = {
    flag<InspectOptions, &InspectOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.State.Status}}'"),
    flag<InspectOptions, &InspectOptions::size>("size", 's', "", "Show the sizes of files"),
};

constexpr std::array<std::string_view, 4> inspect_types{"container", "image", "network", "volume"};

std::string inspect_path(std::string_view type, const std::string& name) {
    if (type == "container") {
        return container_path(name, "json");
    }
    if (type == "image") {
        return "/images/" + percent_encode(name, true) + "/json";
    }
    return "/" + std::string(type) + "s/" + percent_encode(name, false);
}

Task<std::string> inspect_as(ApiClient& api,
                             std::string_view type,
                             std::string name,
                             const InspectOptions& options) {
    ApiCall call{"GET", inspect_path(type, name)};
    if (type == "container" && options.size) {
        call.query.add("size", "1");
    }
    CO_CHECK(platform_query_add(call, options.platform));
    co_return co_await api.call(std::move(call));
}

/// The JSON of what has this name. Errors: not_found if nothing has.
Task<std::string> inspect_one(ApiClient& api, std::string name, const InspectOptions& options) {
    for (const std::string_view type : inspect_types) {
        if (!options.type.empty() && options.type != type) {
            continue;
        }
        Result<std::string> found = co_await inspect_as(api, type, name, options);
        if (found || found.error().kind() != ErrorKind::not_found || options.type == type) {
            co_return std::move(found);
        }
    }
    co_return Error(ErrorKind::not_found, "error: no such object: " + name);
}

/// Documents in the form asked for: an array with indentation, or a line each.
Result<std::string> documents_text(const std::vector<std::string>& documents,
                                   std::string_view format) {
    std::string text;
    if (format.empty()) {
        for (const std::string& document : documents) {
            text += text.empty() ? "[\n    " : ",\n    ";
            text += json_indented(document, "    ");
        }
        return documents.empty() ? std::string("[]\n") : text + "\n]\n";
    }
    if (format == "json") {
        for (const std::string& document : documents) {
            TRY(const JsonDocument parsed, JsonDocument::parse(document));
            text += parsed.root().to_json() + "\n";
        }
        return text;
    }
    TRY(const FormatTemplate parsed_format, FormatTemplate::parse(format));
    for (const std::string& document : documents) {
        TRY(const JsonDocument parsed, JsonDocument::parse(document));
        TRY(const std::string line, parsed_format.run(parsed.root()));
        text += line + "\n";
    }
    return text;
}

Task<int> inspect(Context& context, InspectOptions options, Arguments arguments) {
    if (!options.type.empty() &&
        std::ranges::find(inspect_types, options.type) == inspect_types.end()) {
        co_return Error(ErrorKind::invalid_argument,
                        fmt::format("unknown type: \"{}\": must be one of \"container\", "
                                    "\"image\", \"network\", \"volume\"",
                                    options.type));
    }
    if (!options.format.empty() && options.format != "json") {
        // A template that cannot work is known before anything is asked for.
        CO_TRY(const FormatTemplate checked, FormatTemplate::parse(options.format));
    }
    CO_TRY(ApiClient * api, context.api());
    std::vector<std::string> documents;
    std::string failures;
    for (const std::string& name : arguments) {
        Result<std::string> document = co_await inspect_one(*api, name, options);
        if (document) {
            CO_TRY(const JsonDocument checked, JsonDocument::parse(*document));
            documents.push_back(*std::move(document));
        } else {
            failures += (failures.empty() ? "" : "\n") + document.error().message();
        }
    }
    CO_TRY(const std::string text, documents_text(documents, options.format));
    context.out.write(text);
    context.out.flush();
    if (!failures.empty()) {
        context.err.line(failures);
        co_return exit_failure;
    }
    co_return 0;
}

Task<int> container_inspect(Context& context, InspectOptions options, Arguments arguments) {
    options.type = "container";
    return inspect(context, std::move(options), std::move(arguments));
}

Task<int> network_inspect(Context& context, InspectOptions options, Arguments arguments) {
    options.type = "network";
    return inspect(context, std::move(options), std::move(arguments));
}

Task<int> image_inspect(Context& context, InspectOptions options, Arguments arguments) {
    options.type = "image";
    return inspect(context, std::move(options), std::move(arguments));
}

Task<int> volume_inspect(Context& context, InspectOptions options, Arguments arguments) {
    options.type = "volume";
    return inspect(context, std::move(options), std::move(arguments));
}

}  // namespace

constexpr Command volume_inspect_command{
    .group = "volume",
    .group_names = "inspect",
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .summary = "Show volumes in detail",
    .count = {.min = 1},
    .flags = volume_inspect_flags,
    .body = command_body<InspectOptions, volume_inspect>,
};

constexpr Command inspect_command{
    .name = "inspect",
    .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
    .summary = "Show containers, images and volumes in detail",
    .count = {.min = 1},
    .flags = inspect_flags,
    .body = command_body<InspectOptions, inspect>,
};

constexpr Command container_inspect_command{
    .group = "container",
    .group_names = "inspect",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Show containers in detail",
    .count = {.min = 1},
    .flags = container_inspect_flags,
    .body = command_body<InspectOptions, container_inspect>,
};

constexpr Command network_inspect_command{
    .group = "network",
    .group_names = "inspect",
    .usage = "[OPTIONS] NETWORK [NETWORK...]",
    .summary = "Show networks in detail",
    .count = {.min = 1},
    .flags = network_inspect_flags,
    .body = command_body<InspectOptions, network_inspect>,
};

constexpr Command image_inspect_command{
    .group = "image",
    .group_names = "inspect",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Show images in detail",
    .count = {.min = 1},
    .flags = image_inspect_flags,
    .body = command_body<InspectOptions, image_inspect>,
};

}  // namespace davit::cli
