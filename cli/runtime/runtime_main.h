#pragma once
/// davit as an OCI runtime: the command line of runc, for callers that know that one (containerd's
/// shim, conmon, buildkit). Reached by the name davit-runc or runc, or as `davit runtime`.
///
/// Follows: runc(8); API texts that callers look for are runc's.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags.h"

namespace davit::cli {

/// Whether a program of this name (argv[0]) is the runtime.
bool is_runtime_name(std::string_view program);

/// Takes: words: what follows the program's name. Gives: the exit code. Blocks.
int runtime_main(std::span<const char* const> words);

/// What stands before the command's name.
struct RuntimeGlobals {
    std::string root = "/run/davit-runc";
    std::string log;
    std::string log_format = "text";
    std::string rootless = "auto";
    bool debug = false;
    bool systemd_cgroup = false;
    bool version = false;
};

/// A command of the runtime.
struct RuntimeCommand {
    struct Given {
        const RuntimeGlobals& globals;
        Arguments arguments;
        /// What was degraded; told in the log.
        std::vector<std::string>& warnings;
    };

    std::string_view name;
    std::string_view usage;
    std::string_view summary;
    std::size_t arguments_min;
    std::size_t arguments_max;
    bool interspersed;  // Flags may follow arguments.
    std::span<const Flag> flags;
    /// Makes the options, has the words parsed into them, and runs.
    Result<int> (*run)(const RuntimeCommand& command,
                       const RuntimeGlobals& globals,
                       std::span<const char* const> words,
                       std::vector<std::string>& warnings);
};

/// Parse a command's words; says what is wrong with them. Help is printed, and gives no arguments.
Result<ParsedFlags> runtime_command_parse(const RuntimeCommand& command,
                                          std::span<const char* const> words,
                                          void* options);

template <typename Options, Result<int> (*Run)(const Options&, const RuntimeCommand::Given&)>
Result<int> runtime_command_run(const RuntimeCommand& command,
                                const RuntimeGlobals& globals,
                                std::span<const char* const> words,
                                std::vector<std::string>& warnings) {
    Options options;
    TRY(ParsedFlags parsed, runtime_command_parse(command, words, &options));
    if (parsed.help) {
        return 0;
    }
    return Run(options, {globals, std::move(parsed.arguments), warnings});
}

/// The tables: runtime_life.cc, runtime_process.cc, runtime_inspect.cc.
std::span<const RuntimeCommand> runtime_life_commands();
std::span<const RuntimeCommand> runtime_process_commands();
std::span<const RuntimeCommand> runtime_inspect_commands();

/// Write to standard output. Errors: any of write(2).
Result<int> runtime_print(std::string_view text);

}  // namespace davit::cli
