// davit create
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/container_create.h"

namespace davit::cli {

namespace {

Task<int> create(Context& context, CreateOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const AttachedStreams streams, attached_streams(options));
    Result<CreateRequest> request =
        create_request_make(options, arguments, streams, terminal_size(context.fds().out));
    if (!request) {
        context.err.write(
            fmt::format("davit: {}\n\nRun 'davit create --help' for more information\n",
                        request.error().message()));
        co_return exit_usage;
    }
    CO_TRY(const std::string id,
           co_await container_create(context, *api, options, *std::move(request), arguments[0]));
    context.out.line(id);
    co_return 0;
}

}  // namespace

constexpr Command create_command{
    .name = "create",
    .group = "container",
    .group_names = "create",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Create a new container",
    .count = {.min = 1},
    .base_flags = create_flags,
    .interspersed = false,
    .body = command_body<CreateOptions, create>,
};

}  // namespace davit::cli
