// davit version, info
#include <sys/utsname.h>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "http/json_reader.h"
#include "http/json_writer.h"

namespace davit::cli {

namespace {

struct FormatOptions {
    std::string format;
};

constexpr Flag format_flags[] = {
    flag<FormatOptions, &FormatOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.Server.Version}}'"),
};

constexpr Flag info_flags[] = {
    flag<FormatOptions, &FormatOptions::format>(
        "format", 'f', "string", "json, or a template like '{{.NCPU}}'"),
};

void entry(Context& context,
           std::string_view indent,
           std::string_view name,
           std::string_view text) {
    if (!text.empty()) {
        context.out.line(fmt::format("{}{:<18} {}", indent, fmt::format("{}:", name), text));
    }
}

std::string client_json(const ApiClient& api) {
    std::string text;
    JsonWriter json(text);
    utsname system{};
    ::uname(&system);
    json.begin_object().key("Version").string(DAVIT_VERSION);
    json.key("ApiVersion").string(ApiClient::version_max());
    json.key("Os").string("linux").key("Arch").string(system.machine);
    json.key("Context").string(api.endpoint().text).end_object();
    return text;
}

Result<void> server_print(Context& context, const JsonValue& server) {
    const std::pair<std::string_view, std::string_view> rows[] = {{"Version", "Version"},
                                                                  {"API version", "ApiVersion"},
                                                                  {"Git commit", "GitCommit"},
                                                                  {"Built", "BuildTime"},
                                                                  {"Kernel", "KernelVersion"}};
    TRY(const JsonValue platform, server.object("Platform"));
    TRY(const std::string name, platform.string_or("Name", ""));
    context.out.line(name.empty() ? "\nServer:" : "\nServer: " + name);
    context.out.line(" Engine:");
    for (const auto& [title, key] : rows) {
        TRY(std::string value, server.string_or(key, ""));
        if (key == "ApiVersion") {
            TRY(const std::string min, server.string_or("MinAPIVersion", ""));
            value += min.empty() ? "" : fmt::format(" (minimum version {})", min);
        }
        entry(context, "  ", title, value);
    }
    TRY(const std::string os, server.string_or("Os", ""));
    TRY(const std::string arch, server.string_or("Arch", ""));
    entry(context, "  ", "OS/Arch", fmt::format("{}/{}", os, arch));
    return ok;
}

Task<int> version(Context& context, FormatOptions options, Arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/version"};
    Result<std::string> body = co_await api->call(std::move(call));
    const std::string client = client_json(*api);
    if (!options.format.empty()) {
        const std::string both =
            fmt::format("{{\"Client\":{},\"Server\":{}}}", client, body ? *body : "null");
        CO_CHECK(object_print(context.out, options.format, both));
    } else {
        context.out.line("Client: davit");
        entry(context, " ", "Version", DAVIT_VERSION);
        entry(context, " ", "API version", ApiClient::version_max());
        entry(context, " ", "Host", api->endpoint().text);
        if (body) {
            CO_TRY(const JsonDocument document, JsonDocument::parse(*body));
            CO_CHECK(server_print(context, document.root()));
        }
    }
    if (!body) {
        context.out.flush();
        co_return std::move(body).error();
    }
    co_return 0;
}

/// "Name: value" for each of these members that is there.
struct InfoRow {
    std::string_view title;
    std::string_view key;
    std::string_view indent = " ";
};

constexpr InfoRow info_rows[] = {
    {"Containers", "Containers"},
    {"Running", "ContainersRunning", "  "},
    {"Paused", "ContainersPaused", "  "},
    {"Stopped", "ContainersStopped", "  "},
    {"Images", "Images"},
    {"Server Version", "ServerVersion"},
    {"Storage Driver", "Driver"},
    {"Logging Driver", "LoggingDriver"},
    {"Cgroup Driver", "CgroupDriver"},
    {"Cgroup Version", "CgroupVersion"},
    {"Default Runtime", "DefaultRuntime"},
    {"Kernel Version", "KernelVersion"},
    {"Operating System", "OperatingSystem"},
    {"OSType", "OSType"},
    {"Architecture", "Architecture"},
    {"CPUs", "NCPU"},
    {"Total Memory", "MemTotal"},
    {"Name", "Name"},
    {"ID", "ID"},
    {"Docker Root Dir", "DockerRootDir"},
    {"Live Restore Enabled", "LiveRestoreEnabled"},
};

std::string info_value(const JsonValue& value, std::string_view key) {
    if (value.is(JsonValue::Type::string)) {
        return std::string(*value.as_string());
    }
    if (key == "MemTotal" && value.is(JsonValue::Type::int64)) {
        const double mebibytes = static_cast<double>(*value.as_int64()) / (1024.0 * 1024.0);
        return fmt::format("{:.2f}MiB", mebibytes);
    }
    return value.present() ? value.to_json() : "";
}

Task<int> info(Context& context, FormatOptions options, Arguments) {
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"GET", "/info"};
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    if (!options.format.empty()) {
        CO_CHECK(object_print(context.out, options.format, body));
        co_return 0;
    }
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    context.out.line("Client: davit");
    context.out.line(" Version: " DAVIT_VERSION);
    context.out.line("\nServer:");
    for (const InfoRow& row : info_rows) {
        const std::string value = info_value(root.member(row.key), row.key);
        if (!value.empty()) {
            context.out.line(fmt::format("{}{}: {}", row.indent, row.title, value));
        }
    }
    CO_TRY(const std::vector<std::string> security, root.strings("SecurityOptions"));
    for (const std::string& option : security) {
        context.out.line(" Security Option: " + option);
    }
    CO_TRY(const std::vector<std::string> warnings, root.strings("Warnings"));
    context.out.flush();
    for (const std::string& warning : warnings) {
        context.err.line(warning);
    }
    co_return 0;
}

}  // namespace

constexpr Command version_command{
    .name = "version",
    .usage = "[OPTIONS]",
    .summary = "Show the versions of client and daemon",
    .count = {.max = 0},
    .flags = format_flags,
    .body = command_body<FormatOptions, version>,
};

constexpr Command info_command{
    .name = "info",
    .group = "system",
    .group_names = "info",
    .usage = "[OPTIONS]",
    .summary = "Show facts about the daemon and its host",
    .count = {.max = 0},
    .flags = info_flags,
    .body = command_body<FormatOptions, info>,
};

}  // namespace davit::cli
