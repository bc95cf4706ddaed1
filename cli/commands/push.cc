// davit push
#include <fmt/format.h>

#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/platform_query.h"
#include "cli/progress.h"
#include "graph/reference.h"

namespace davit::cli {

namespace {

struct PushOptions {
    bool all_platforms = false;
    bool all_tags = false;
    std::string platform;
    bool quiet = false;
};

constexpr Flag push_flags[] = {
    flag<PushOptions, &PushOptions::all_platforms>(
        "all-platforms", 0, "", "Push the index that it was pulled by, with all that it names"),
    flag<PushOptions, &PushOptions::all_tags>(
        "all-tags", 'a', "", "Push every tag that the repository has here"),
    flag<PushOptions, &PushOptions::platform>(
        "platform", 0, "string", "Platform that the image must be for (os/arch[/variant])"),
    flag<PushOptions, &PushOptions::quiet>("quiet", 'q', "", "Print only the image's name"),
};

/// The header of somebody without credentials: "{}".
constexpr std::string_view nobody_header = "e30=";

Task<int> push(Context& context, PushOptions options, Arguments arguments) {
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
    CO_TRY(const RegistryAuth auth, registry_auth(context.config_directory(), reference.domain()));
    if (!auth.warning.empty()) {
        context.err.line(auth.warning);
    }
    ApiCall call{"POST", "/images/" + percent_encode(reference.familiar_name(), true) + "/push"};
    if (!options.all_tags) {
        call.query.add("tag", reference.has_digest() ? reference.digest().str() : reference.tag());
    }
    CO_CHECK(platform_query_add(call, options.platform));
    if (options.all_platforms) {
        call.query.add("allPlatforms", "1");
    }
    call.headers.add("X-Registry-Auth",
                     auth.header.empty() ? std::string(nobody_header) : auth.header);
    CO_TRY(ApiStream stream, co_await api->open(std::move(call)));
    ProgressDisplay display(context.out, options.quiet);
    CO_CHECK(co_await progress_follow(stream, display));
    if (options.quiet) {
        context.out.line(reference.str());
    }
    co_return 0;
}

}  // namespace

constexpr Command push_command{
    .name = "push",
    .group = "image",
    .group_names = "push",
    .usage = "[OPTIONS] NAME[:TAG]",
    .summary = "Upload an image to a registry",
    .count = {.min = 1, .max = 1},
    .flags = push_flags,
    .body = command_body<PushOptions, push>,
};

}  // namespace davit::cli
