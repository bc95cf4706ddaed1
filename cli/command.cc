#include "cli/command.h"

#include <fmt/format.h>

#include "cli/completion.h"

namespace davit::cli {

namespace {

struct GlobalOptions {
    std::string host;
    std::string config_directory;
    bool version = false;
};

constexpr Flag global_flag_table[] = {
    flag<GlobalOptions, &GlobalOptions::config_directory>(
        "config", 0, "string", "Directory of config.json (default \"~/.docker\")"),
    flag<GlobalOptions, &GlobalOptions::host>(
        "host", 'H', "string", "Daemon to connect to: unix://PATH or tcp://HOST[:PORT]"),
    flag<GlobalOptions, &GlobalOptions::version>("version", 'v', "", "Print the version and quit"),
};

/// True if names, a space-separated list, has this one.
bool has_name(std::string_view names, std::string_view name) {
    while (!names.empty()) {
        const std::size_t end = std::min(names.find(' '), names.size());
        if (names.substr(0, end) == name) {
            return true;
        }
        names.remove_prefix(std::min(end + 1, names.size()));
    }
    return false;
}

std::string_view first_name(std::string_view names) {
    return names.substr(0, names.find(' '));
}

constexpr CommandGroup groups[] = {
    {"container", "Manage containers"},
    {"image", "Manage images"},
    {"network", "Manage networks"},
    {"system", "Manage davit"},
    {"volume", "Manage volumes"},
};

int usage_failed(Context& context, const Command& command, std::string_view message, int code) {
    context.err.write(fmt::format("{}\n\nUsage:  {} {}\n\nRun '{} --help' for more information\n",
                                  message,
                                  command_title(command),
                                  command.usage,
                                  command_title(command)));
    return code;
}

/// What is wrong with the number of arguments; "" if nothing.
std::string count_complaint(const Command& command, std::size_t count) {
    const auto [min, max] = command.count;
    if (count >= min && count <= max) {
        return "";
    }
    const std::string title = command_title(command);
    if (max == 0) {
        return fmt::format("davit: '{}' accepts no arguments", title);
    }
    const bool too_few = count < min;
    const std::size_t limit = too_few ? min : max;
    return fmt::format("davit: '{}' requires {}{} argument{}",
                       title,
                       min == max ? "" : (too_few ? "at least " : "at most "),
                       limit,
                       limit == 1 ? "" : "s");
}

/// The body's outcome, with its error told to the user.
Task<int> run_and_report(Context& context,
                         const Command& command,
                         std::span<const char* const> words) {
    Result<int> code = co_await command.body(context, command, words);
    context.out.flush();
    if (!code) {
        const std::string message = code.error().message();
        if (command.prefix_errors) {
            context.err.write(fmt::format("davit: {}\n\nRun '{} --help' for more information\n",
                                          message,
                                          command_title(command)));
        } else {
            context.err.line(message);
        }
        co_return command.exit_code == nullptr ? exit_failure : command.exit_code(code.error());
    }
    if (const int failure = context.out.failure(); failure != 0 && *code == 0) {
        context.err.line("write to standard output: " + errno_text(failure));
        co_return exit_failure;
    }
    co_return *code;
}

int unknown_command(Context& context, std::string_view path, std::string_view group) {
    context.err.write(
        fmt::format("davit: unknown command: davit {}\n\nRun 'davit {}--help' for "
                    "more information\n",
                    path,
                    group.empty() ? "" : fmt::format("{} ", group)));
    return exit_failure;
}

/// Help for "--help", "ps --help" and "help ps" alike is a matter of the words; this one is "help".
int help_run(Context& context, std::span<const std::string> words) {
    if (words.empty()) {
        context.out.write(overview_help(""));
        return 0;
    }
    if (words.size() > 1 && is_command_group(words[0])) {
        if (const Command* command = command_in_group(words[0], words[1])) {
            context.out.write(command_help(*command));
            return 0;
        }
        return unknown_command(context, words[0] + " " + words[1], words[0]);
    }
    if (const Command* command = command_at_top(words[0])) {
        context.out.write(command_help(*command));
        return 0;
    }
    if (is_command_group(words[0])) {
        context.out.write(overview_help(words[0]));
        return 0;
    }
    return unknown_command(context, words[0], "");
}

bool is_help_flag(std::string_view word) {
    return word == "--help" || word == "-h";
}

}  // namespace

const Command* command_in_group(std::string_view group, std::string_view name) {
    for (const Command* command : command_table()) {
        if (command->group == group && has_name(command->group_names, name)) {
            return command;
        }
    }
    return nullptr;
}

const Command* command_at_top(std::string_view name) {
    for (const Command* command : command_table()) {
        if (!name.empty() && command->name == name) {
            return command;
        }
    }
    return nullptr;
}

bool is_command_group(std::string_view name) {
    for (const Command* command : command_table()) {
        if (!name.empty() && command->group == name) {
            return true;
        }
    }
    return false;
}

std::span<const CommandGroup> command_groups() {
    return groups;
}

std::span<const Flag> global_flags() {
    return global_flag_table;
}

std::span<const Flag> base_flags_of(const Command& command) {
    return command.base_flags == nullptr ? std::span<const Flag>() : command.base_flags();
}

std::string command_title(const Command& command) {
    if (!command.name.empty()) {
        return fmt::format("davit {}", command.name);
    }
    return fmt::format("davit {} {}", command.group, first_name(command.group_names));
}

std::string command_help(const Command& command) {
    std::string text = fmt::format(
        "Usage:  {} {}\n\n{}\n", command_title(command), command.usage, command.summary);
    if (!command.name.empty() && !command.group.empty()) {
        text += "\nAliases:\n  ";
        for (std::string_view names = command.group_names; !names.empty();) {
            const std::string_view name = first_name(names);
            text += fmt::format("davit {} {}, ", command.group, name);
            names.remove_prefix(std::min(name.size() + 1, names.size()));
        }
        text += fmt::format("davit {}\n", command.name);
    }
    const FlagTarget targets[] = {{command.flags, nullptr}, {base_flags_of(command), nullptr}};
    const std::string options = flags_help(targets);
    if (!options.empty()) {
        text += "\nOptions:\n" + options;
    }
    return text;
}

std::string overview_help(std::string_view group) {
    std::string text;
    const auto add = [&text](std::string_view name, std::string_view summary) {
        text += fmt::format("  {:<11} {}\n", name, summary);
    };
    if (!group.empty()) {
        text = fmt::format("Usage:  davit {} COMMAND\n\nCommands:\n", group);
        for (const Command* command : command_table()) {
            if (command->group == group) {
                add(first_name(command->group_names), command->summary);
            }
        }
        text += fmt::format("\nRun 'davit {} COMMAND --help' for more information on a command.\n",
                            group);
        return text;
    }
    text =
        "Usage:  davit [OPTIONS] COMMAND\n\nA container engine for hosts that start very many "
        "short containers\n\nCommands:\n";
    for (const Command* command : command_table()) {
        if (!command->name.empty()) {
            add(command->name, command->summary);
        }
    }
    text += "\nManagement Commands:\n";
    for (const CommandGroup& row : groups) {
        add(row.name, row.summary);
    }
    const FlagTarget targets[] = {{global_flag_table, nullptr}};
    text += "\nGlobal Options:\n" + flags_help(targets) +
            "\nRun 'davit COMMAND --help' for more information on a command.\n";
    return text;
}

CommandWords command_parse(Context& context,
                           const Command& command,
                           std::span<const char* const> words,
                           void* options,
                           void* base_options) {
    const FlagTarget targets[] = {{command.flags, options}, {base_flags_of(command), base_options}};
    CommandWords outcome;
    Result<ParsedFlags> parsed = flags_parse(words, targets, command.interspersed);
    if (!parsed) {
        outcome.exit_code = usage_failed(context, command, parsed.error().message(), exit_usage);
        return outcome;
    }
    if (parsed->help) {
        context.out.write(command_help(command));
        outcome.exit_code = 0;
        return outcome;
    }
    const std::string complaint = count_complaint(command, parsed->arguments.size());
    if (!complaint.empty()) {
        outcome.exit_code = usage_failed(context, command, complaint, exit_failure);
        return outcome;
    }
    outcome.arguments = std::move(parsed->arguments);
    return outcome;
}

Task<int> exit_with(int code) {
    co_return code;
}

Task<int> command_line_run(StandardFds fds, std::span<const char* const> words) {
    GlobalOptions options;
    const FlagTarget targets[] = {{global_flag_table, &options}};
    Result<ParsedFlags> parsed = flags_parse(words, targets, false);
    Context context(fds, options.host, options.config_directory);
    if (!parsed) {
        context.err.write(parsed.error().message() +
                          "\n\nUsage:  davit [OPTIONS] COMMAND [ARG...]\n\nRun 'davit --help' for "
                          "more information\n");
        co_return exit_usage;
    }
    if (options.version) {
        context.out.line("davit version " DAVIT_VERSION);
        co_return 0;
    }
    const std::span<const std::string> names = parsed->arguments;
    if (parsed->help || names.empty()) {
        context.out.write(overview_help(""));
        co_return 0;
    }
    std::span<const char* const> rest = words.subspan(words.size() - names.size() + 1);
    if (const Command* command = command_at_top(names[0])) {
        co_return co_await run_and_report(context, *command, rest);
    }
    if (is_command_group(names[0])) {
        if (rest.empty() || is_help_flag(rest[0])) {
            context.out.write(overview_help(names[0]));
            co_return 0;
        }
        if (const Command* command = command_in_group(names[0], names[1])) {
            co_return co_await run_and_report(context, *command, rest.subspan(1));
        }
        co_return unknown_command(context, names[0] + " " + names[1], names[0]);
    }
    if (names[0] == "help") {
        co_return help_run(context, names.subspan(1));
    }
    if (names[0] == completion_request) {
        // The line's own flags say which daemon to ask; one that is not finished may be wrong.
        static_cast<void>(flags_parse(rest, targets, false).has_value());
        Context asked(fds, options.host, options.config_directory);
        co_return co_await completion_run(asked, rest);
    }
    co_return unknown_command(context, names[0], "");
}

}  // namespace davit::cli
