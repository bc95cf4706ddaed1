// davit daemon, as far as the command line has to know of it: main() runs it before anything of a
// client is made, since it has its own loop, flags and help.
#include "cli/commands/commands.h"

namespace davit::cli {

namespace {

Task<int> not_a_client(Context& context, const Command&, std::span<const char* const>) {
    context.err.line(
        "davit: \"daemon\" must be the first word: the client's options do not apply to it");
    return exit_with(exit_usage);
}

}  // namespace

constexpr Command daemon_command{
    .name = "daemon",
    .usage = "[OPTIONS]",
    .summary = "Run the daemon (davit daemon --help for its options)",
    .body = not_a_client,
};

}  // namespace davit::cli
