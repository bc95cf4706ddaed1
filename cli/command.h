#pragma once
/// Command: a row of the one table of verbs (command_table.cc), and how it is run.
///
/// A command is constant data with a body. Only the flags of the command that was invoked are
/// looked at; nothing of the others runs.
#include <cstdint>
#include <span>
#include <string_view>

#include "cli/context.h"
#include "cli/flags.h"
#include "reactor/task.h"

namespace davit::cli {

/// How many arguments a command takes; words after the last flag count.
struct ArgumentCount {
    std::size_t min = 0;
    std::size_t max = SIZE_MAX;
};

struct Command {
    using Body = Task<int> (*)(Context& context,
                               const Command& command,
                               std::span<const char* const> words);

    /// "ps": its name without a group; "" if it is found only within one.
    std::string_view name = {};
    /// "container": the management command it also belongs to; "" if none.
    std::string_view group = {};
    /// "ls list ps": its names there.
    std::string_view group_names = {};
    /// "[OPTIONS] IMAGE [COMMAND] [ARG...]"
    std::string_view usage = {};
    std::string_view summary = {};
    ArgumentCount count = {};
    std::span<const Flag> flags = {};
    /// A table that it shares with another command; null if none.
    std::span<const Flag> (*base_flags)() = nullptr;
    /// Flags may follow arguments.
    bool interspersed = true;
    /// "davit: " before its error, and a pointer to help after it: as docker does for run alone.
    bool prefix_errors = false;
    /// The exit code for its error; null: 1.
    int (*exit_code)(const Error& error) = nullptr;
    Body body = nullptr;
};

/// What was parsed, or the exit code if the command shall not run.
struct CommandWords {
    Arguments arguments;
    int exit_code = -1;
};

/// Parse words for a command, and say on the context's streams what is wrong with them, or help.
/// base_options: what the base flags set.
CommandWords command_parse(Context& context,
                           const Command& command,
                           std::span<const char* const> words,
                           void* options,
                           void* base_options);

Task<int> exit_with(int code);

/// A body that parses the words into an Options and runs Run(context, options, arguments). The
/// flags of base_flags are those of Options::Base, a class it derives from, or else of Options
/// itself.
template <typename Options, Task<int> (*Run)(Context&, Options, Arguments)>
Task<int> command_body(Context& context,
                       const Command& command,
                       std::span<const char* const> words) {
    Options options;
    void* base = &options;
    if constexpr (requires { typename Options::Base; }) {
        base = static_cast<typename Options::Base*>(&options);
    }
    CommandWords parsed = command_parse(context, command, words, &options, base);
    if (parsed.exit_code >= 0) {
        return exit_with(parsed.exit_code);
    }
    return Run(context, std::move(options), std::move(parsed.arguments));
}

/// Exit codes of the command line itself, as docker's.
inline constexpr int exit_failure = 1;
inline constexpr int exit_usage = 125;
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;

/// Every command, in the order in which help lists them.
std::span<const Command* const> command_table();

/// A management command: "container".
struct CommandGroup {
    std::string_view name;
    std::string_view summary;
};

std::span<const CommandGroup> command_groups();
bool is_command_group(std::string_view name);

/// By any of its names; null if there is none.
const Command* command_at_top(std::string_view name);
const Command* command_in_group(std::string_view group, std::string_view name);

/// The flags before a command's name, and those that a command shares.
std::span<const Flag> global_flags();
std::span<const Flag> base_flags_of(const Command& command);

/// Find and run what the words name ("-H x container ls -a"); the global flags are read first.
/// Gives the process's exit code.
Task<int> command_line_run(StandardFds fds, std::span<const char* const> words);

/// The page of one command, and the overview of all ("") or of one group.
std::string command_help(const Command& command);
std::string overview_help(std::string_view group);

/// "davit ps", or "davit image inspect" for what has a name only there.
std::string command_title(const Command& command);

}  // namespace davit::cli
