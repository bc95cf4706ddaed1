// davit image prune
#include "cli/commands/commands.h"
#include "cli/prune.h"

namespace davit::cli {

namespace {

struct PruneOptions {
    bool all = false;
    std::vector<std::string> filters;
    bool force = false;
};

constexpr Flag prune_flags[] = {
    flag<PruneOptions, &PruneOptions::all>(
        "all", 'a', "", "Remove all images without a container, not only those without a name"),
    flag<PruneOptions, &PruneOptions::filters>(
        "filter", 0, "filter", "Remove only what fulfils key=value (until, label, label!)"),
    flag<PruneOptions, &PruneOptions::force>("force", 'f', "", "Do not ask"),
};

Task<int> prune(Context& context, PruneOptions options, Arguments /*arguments*/) {
    std::string what = " all dangling images.";
    if (options.all) {
        what = " all images without at least one container associated to them.";
        options.filters.emplace_back("dangling=false");
    }
    if (!options.force) {
        CO_CHECK(co_await prune_confirm(context, std::move(what), "image prune"));
    }
    CO_TRY(const std::uint64_t bytes,
           co_await prune_run(context, prune_images, std::move(options.filters)));
    prune_total_print(context, bytes);
    co_return 0;
}

}  // namespace

constexpr Command image_prune_command{
    .group = "image",
    .group_names = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove unused images",
    .count = {.max = 0},
    .flags = prune_flags,
    .body = command_body<PruneOptions, prune>,
};

}  // namespace davit::cli
