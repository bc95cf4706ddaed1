#include "cli/runtime/runtime_main.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "http/json_writer.h"
#include "reactor/base/clock.h"
#include "reactor/base/fd.h"

#include "runtime/oci_config.h"

namespace davit::cli {

namespace {

constexpr std::array global_flags{
    flag<RuntimeGlobals, &RuntimeGlobals::root>("root", 0, "dir", "Where containers are known"),
    flag<RuntimeGlobals, &RuntimeGlobals::log>("log", 0, "file", "Write messages here, too"),
    flag<RuntimeGlobals, &RuntimeGlobals::log_format>("log-format", 0, "text|json", "Their form"),
    flag<RuntimeGlobals, &RuntimeGlobals::debug>(
        "debug", 0, "", "Accepted: there is nothing more to tell"),
    flag<RuntimeGlobals, &RuntimeGlobals::systemd_cgroup>("systemd-cgroup", 0, "", "Refused"),
    flag<RuntimeGlobals, &RuntimeGlobals::rootless>(
        "rootless", 0, "true|false|auto", "true is refused"),
    flag<RuntimeGlobals, &RuntimeGlobals::version>("version", 'v', "", "Print the version"),
};

std::string version_text() {
    // Callers want "runc version" first.
    return fmt::format(
        "runc version {}\ncommit: davit\nspec: {}\n", DAVIT_VERSION, oci_version_max);
}

std::string help_text() {
    std::string text = "Usage: davit-runc [OPTIONS] COMMAND [ARG...]\n\nCommands:\n";
    for (const auto commands :
         {runtime_life_commands(), runtime_process_commands(), runtime_inspect_commands()}) {
        for (const RuntimeCommand& command : commands) {
            text += fmt::format("  {:<12} {}\n", command.name, command.summary);
        }
    }
    RuntimeGlobals globals;
    const std::array targets{FlagTarget{global_flags, &globals}};
    return text + "\nOptions:\n" + flags_help(targets);
}

const RuntimeCommand* command_find(std::string_view name) {
    for (const auto commands :
         {runtime_life_commands(), runtime_process_commands(), runtime_inspect_commands()}) {
        const auto found = std::ranges::find(commands, name, &RuntimeCommand::name);
        if (found != commands.end()) {
            return &*found;
        }
    }
    return nullptr;
}

/// A line of the log, as logrus writes it; runc's callers read the last one.
std::string log_line(const RuntimeGlobals& globals,
                     std::string_view level,
                     std::string_view message) {
    const std::string time = rfc3339_nano(wall_now());
    std::string text;
    if (globals.log_format == "json") {
        JsonWriter json(text);
        json.begin_object().key("level").string(level).key("msg").string(message);
        json.key("time").string(time).end_object();
        return text + "\n";
    }
    JsonWriter(text).string(message);
    return fmt::format("time=\"{}\" level={} msg={}\n", time, level, text);
}

/// Where a log is given it has everything, and standard error the failure alone.
void tell(const RuntimeGlobals& globals, std::string_view level, const std::string& message) {
    if (!globals.log.empty()) {
        if (const Result<Fd> log = Fd::open(globals.log, O_WRONLY | O_CREAT | O_APPEND, 0644)) {
            static_cast<void>(write_all(log->get(), log_line(globals, level, message)));
        }
        if (level == "error") {
            static_cast<void>(write_all(STDERR_FILENO, message + "\n"));
        }
        return;
    }
    static_cast<void>(write_all(STDERR_FILENO, log_line(globals, level, message)));
}

Result<void> globals_check(const RuntimeGlobals& globals) {
    if (globals.log_format != "text" && globals.log_format != "json") {
        return Error(ErrorKind::invalid_argument,
                     "invalid log-format \"" + globals.log_format + "\": text or json");
    }
    if (globals.systemd_cgroup) {
        return Error(
            ErrorKind::unsupported,
            "--systemd-cgroup: davit makes its cgroups itself; have the caller use cgroupfs");
    }
    if (globals.rootless == "true") {
        return Error(ErrorKind::unsupported, "--rootless: davit needs root");
    }
    return ok;
}

Result<int> run(RuntimeGlobals& globals,
                std::span<const char* const> words,
                std::vector<std::string>& warnings) {
    const std::array targets{FlagTarget{global_flags, &globals}};
    TRY(const ParsedFlags parsed, flags_parse(words, targets, false));
    if (parsed.help || (parsed.arguments.empty() && !globals.version)) {
        return runtime_print(help_text());
    }
    if (globals.version) {
        return runtime_print(version_text());
    }
    TRY_VOID(globals_check(globals));
    const RuntimeCommand* command = command_find(parsed.arguments[0]);
    if (command == nullptr) {
        return Error(ErrorKind::invalid_argument,
                     "no such command: \"" + parsed.arguments[0] + "\"; see davit-runc --help");
    }
    return command->run(
        *command, globals, words.subspan(words.size() - parsed.arguments.size() + 1), warnings);
}

}  // namespace

bool is_runtime_name(std::string_view program) {
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return name == "davit-runc" || name == "runc";
}

int runtime_main(std::span<const char* const> words) {
    RuntimeGlobals globals;
    std::vector<std::string> warnings;
    const Result<int> code = run(globals, words, warnings);
    for (const std::string& warning : warnings) {
        tell(globals, "warning", warning);
    }
    if (!code) {
        tell(globals, "error", code.error().message());
        return 1;
    }
    return *code;
}

Result<ParsedFlags> runtime_command_parse(const RuntimeCommand& command,
                                          std::span<const char* const> words,
                                          void* options) {
    const std::array targets{FlagTarget{command.flags, options}};
    TRY(ParsedFlags parsed, flags_parse(words, targets, command.interspersed));
    if (parsed.help) {
        TRY_VOID(runtime_print(fmt::format("Usage: davit-runc {} {}\n\n{}\n\nOptions:\n{}",
                                           command.name,
                                           command.usage,
                                           command.summary,
                                           flags_help(targets))));
        return parsed;
    }
    const std::size_t count = parsed.arguments.size();
    if (count < command.arguments_min || count > command.arguments_max) {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("usage: davit-runc {} {}", command.name, command.usage));
    }
    return parsed;
}

Result<int> runtime_print(std::string_view text) {
    TRY_VOID(write_all(STDOUT_FILENO, text));
    return 0;
}

}  // namespace davit::cli
