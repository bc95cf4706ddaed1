// davit start
#include <fmt/format.h>

#include "cli/attach_session.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "reactor/task_group.h"

namespace davit::cli {

namespace {

struct StartOptions {
    bool attach = false;
    bool interactive = false;
    std::string detach_keys;
};

constexpr Flag start_flags[] = {
    flag<StartOptions, &StartOptions::attach>(
        "attach", 'a', "", "Attach STDOUT and STDERR, and forward signals"),
    flag<StartOptions, &StartOptions::detach_keys>(
        "detach-keys", 0, "string", "Key sequence that detaches (default \"ctrl-p,ctrl-q\")"),
    flag<StartOptions, &StartOptions::interactive>(
        "interactive", 'i', "", "Attach the container's STDIN"),
};

Task<int> start_attached(Context& context,
                         ApiClient& api,
                         const StartOptions& options,
                         std::string name) {
    CO_TRY(const ContainerState state, co_await container_state(api, name));
    AttachOptions attach;
    attach.container = state.id;
    attach.tty = state.tty;
    attach.input = options.interactive && state.open_stdin;
    attach.detach_keys = options.detach_keys;
    CO_TRY(const std::unique_ptr<AttachSession> session,
           AttachSession::make(context, api, std::move(attach)));
    CO_TRY(auto opened,
           co_await when_both(session->connect(), container_wait_open(api, state.id, "next-exit")));
    auto [stream, exit] = std::move(opened);
    CO_CHECK(co_await container_start(api, state.id));
    CO_TRY(const AttachEnd end, co_await session->run(std::move(stream)));
    if (end == AttachEnd::detached) {
        co_return 0;
    }
    co_return co_await container_wait_finish(std::move(exit));
}

Task<int> start(Context& context, StartOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    if (options.attach || options.interactive) {
        if (arguments.size() > 1) {
            co_return Error(ErrorKind::invalid_argument,
                            "you cannot start and attach multiple containers at once");
        }
        co_return co_await start_attached(context, *api, options, arguments[0]);
    }
    std::string failed;
    for (const std::string& name : arguments) {
        Result<void> started = co_await container_start(*api, name);
        if (started) {
            context.out.line(name);
            context.out.flush();
        } else {
            context.err.line(started.error().message());
            failed += (failed.empty() ? "" : ", ") + name;
        }
    }
    if (!failed.empty()) {
        co_return Error(ErrorKind::internal, "failed to start containers: " + failed);
    }
    co_return 0;
}

}  // namespace

constexpr Command start_command{
    .name = "start",
    .group = "container",
    .group_names = "start",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Start one or more stopped containers",
    .count = {.min = 1},
    .flags = start_flags,
    .body = command_body<StartOptions, start>,
};

}  // namespace davit::cli
