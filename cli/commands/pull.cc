// davit pull
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/image_pull.h"

namespace davit::cli {

namespace {

struct PullOptions {
    bool all_tags = false;
    std::string platform;
    bool quiet = false;
};

constexpr Flag pull_flags[] = {
    flag<PullOptions, &PullOptions::all_tags>(
        "all-tags", 'a', "", "Pull every tag of the repository"),
    flag<PullOptions, &PullOptions::platform>(
        "platform", 0, "string", "Platform of the image (os/arch[/variant])"),
    flag<PullOptions, &PullOptions::quiet>("quiet", 'q', "", "Print only the image's name"),
};

Task<int> pull(Context& context, PullOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(Reference reference, Reference::parse(arguments[0]));
    if (options.all_tags && !reference.is_name_only()) {
        co_return Error(ErrorKind::invalid_argument, "tag can't be used with --all-tags/-a");
    }
    if (!options.all_tags && reference.is_name_only()) {
        reference = reference.with_default_tag();
        if (!options.quiet) {
            context.out.line(fmt::format("Using default tag: {}", reference.tag()));
        }
    }
    const std::string name = reference.str();
    PullRequest request{std::move(reference), options.platform, options.all_tags, options.quiet};
    CO_CHECK(co_await image_pull(context, *api, std::move(request), context.out));
    context.out.line(name);
    co_return 0;
}

}  // namespace

constexpr Command pull_command{
    .name = "pull",
    .group = "image",
    .group_names = "pull",
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .summary = "Download an image from a registry",
    .count = {.min = 1, .max = 1},
    .flags = pull_flags,
    .body = command_body<PullOptions, pull>,
};

}  // namespace davit::cli
