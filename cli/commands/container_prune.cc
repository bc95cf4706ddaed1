// davit container prune
#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/prune_prompt.h"
#include "cli/units.h"
#include "http/json_reader.h"

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

constexpr int size_digits = 4;

Result<void> pruned_print(Context& context, const std::string& body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    TRY(const std::vector<std::string> ids, document.root().strings("ContainersDeleted"));
    if (!ids.empty()) {
        context.out.line("Deleted Containers:");
        for (const std::string& id : ids) {
            context.out.line(id);
        }
        context.out.line("");
    }
    TRY(const std::uint64_t bytes, document.root().uint64_or("SpaceReclaimed", 0));
    context.out.line("Total reclaimed space: " +
                     size_text(static_cast<double>(bytes), size_digits));
    return ok;
}

Task<int> prune(Context& context, PruneOptions options, Arguments /*arguments*/) {
    CO_TRY(const std::string filters, filters_json(options.filters));
    if (!options.force) {
        CO_TRY(const bool yes, co_await prune_confirmed(context, "all stopped containers"));
        if (!yes) {
            co_return Error(ErrorKind::cancelled, "container prune has been cancelled");
        }
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", "/containers/prune"};
    if (!filters.empty()) {
        call.query.add("filters", filters);
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_CHECK(pruned_print(context, body));
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
