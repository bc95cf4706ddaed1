// davit wait
#include "cli/commands/commands.h"
#include "cli/container_api.h"

namespace davit::cli {

namespace {

struct WaitOptions {};

Task<int> wait_for(Context& context, WaitOptions, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    int code = 0;
    for (const std::string& name : arguments) {
        Result<ApiStream> stream = co_await container_wait_open(*api, name, "");
        if (!stream) {
            context.err.line(stream.error().message());
            code = exit_failure;
            continue;
        }
        Result<int> status = co_await container_wait_finish(*std::move(stream));
        if (!status) {
            context.err.line(status.error().message());
            code = exit_failure;
            continue;
        }
        context.out.line(std::to_string(*status));
        context.out.flush();
    }
    co_return code;
}

}  // namespace

constexpr Command wait_command{
    .name = "wait",
    .group = "container",
    .group_names = "wait",
    .usage = "CONTAINER [CONTAINER...]",
    .summary = "Wait until containers stop, then print their exit codes",
    .count = {.min = 1},
    .body = command_body<WaitOptions, wait_for>,
};

}  // namespace davit::cli
