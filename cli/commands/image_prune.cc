// davit image prune
#include "cli/commands/commands.h"
#include "cli/list_printer.h"
#include "cli/prune_prompt.h"
#include "cli/units.h"
#include "http/json_reader.h"

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

constexpr int size_digits = 4;

Result<void> pruned_print(Context& context, const std::string& body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    TRY(const JsonValue list, document.root().array("ImagesDeleted"));
    TRY(const std::vector<JsonValue> items, list.as_array());
    if (!items.empty()) {
        context.out.line("Deleted Images:");
    }
    for (const JsonValue& item : items) {
        TRY(const std::string untagged, item.string_or("Untagged", ""));
        TRY(const std::string deleted, item.string_or("Deleted", ""));
        context.out.line(untagged.empty() ? "deleted: " + deleted : "untagged: " + untagged);
    }
    if (!items.empty()) {
        context.out.line("");
    }
    TRY(const std::uint64_t bytes, document.root().uint64_or("SpaceReclaimed", 0));
    context.out.line("Total reclaimed space: " +
                     size_text(static_cast<double>(bytes), size_digits));
    return ok;
}

Task<int> prune(Context& context, PruneOptions options, Arguments /*arguments*/) {
    if (options.all) {
        options.filters.emplace_back("dangling=false");
    }
    CO_TRY(const std::string filters, filters_json(options.filters));
    if (!options.force) {
        CO_TRY(const bool yes,
               co_await prune_confirmed(
                   context,
                   options.all ? "all images without at least one container associated to them"
                               : "all dangling images"));
        if (!yes) {
            co_return Error(ErrorKind::cancelled, "image prune has been cancelled");
        }
    }
    CO_TRY(ApiClient * api, context.api());
    ApiCall call{"POST", "/images/prune"};
    if (!filters.empty()) {
        call.query.add("filters", filters);
    }
    CO_TRY(const std::string body, co_await api->call(std::move(call)));
    CO_CHECK(pruned_print(context, body));
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
