// davit container prune
#include "cli/commands/commands.h"
#include "cli/prune.h"

namespace davit::cli {

namespace {

struct PruneOptions {
    std::vector<std::string> filters;
    bool force = false;
};

constexpr Flag prune_flags[] = {
    flag<PruneOptions, &PruneOptions::filters>(
        "filter", 0, "filter", "Remove only what fulfils key=value (until, label, label!)"),
    flag<PruneOptions, &PruneOptions::force>("force", 'f', "", "Do not ask"),
};

Task<int> prune(Context& context, PruneOptions options, Arguments /*arguments*/) {
    if (!options.force) {
        CO_CHECK(co_await prune_confirm(context, " all stopped containers.", "container prune"));
    }
    CO_TRY(const std::uint64_t bytes,
           co_await prune_run(context, prune_containers, std::move(options.filters)));
    prune_total_print(context, bytes);
    co_return 0;
}

}  // namespace

constexpr Command container_prune_command{
    .group = "container",
    .group_names = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove all stopped containers",
    .count = {.max = 0},
    .flags = prune_flags,
    .body = command_body<PruneOptions, prune>,
};

}  // namespace davit::cli
