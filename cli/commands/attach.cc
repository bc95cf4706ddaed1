// davit attach
#include "cli/attach_session.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "reactor/task_group.h"

namespace davit::cli {

namespace {

struct AttachCommandOptions {
    std::string detach_keys;
    bool no_stdin = false;
    bool sig_proxy = true;
};

constexpr Flag attach_flags[] = {
    flag<AttachCommandOptions, &AttachCommandOptions::detach_keys>(
        "detach-keys", 0, "string", "Key sequence that detaches (default \"ctrl-p,ctrl-q\")"),
    flag<AttachCommandOptions, &AttachCommandOptions::no_stdin>(
        "no-stdin", 0, "", "Do not attach STDIN"),
    flag<AttachCommandOptions, &AttachCommandOptions::sig_proxy>(
        "sig-proxy", 0, "", "Forward signals to the process (default true)"),
};

Result<void> attachable(const ContainerState& state) {
    const char* why = nullptr;
    if (!state.running) {
        why = "cannot attach to a stopped container, start it first";
    } else if (state.paused) {
        why = "cannot attach to a paused container, unpause it first";
    } else if (state.restarting) {
        why = "cannot attach to a restarting container, wait until it is running";
    }
    if (why != nullptr) {
        return Error(ErrorKind::conflict, why);
    }
    return ok;
}

Task<int> attach(Context& context, AttachCommandOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    CO_TRY(const ContainerState state, co_await container_state(*api, arguments[0]));
    CO_CHECK(attachable(state));
    AttachOptions session_options;
    session_options.container = state.id;
    session_options.tty = state.tty;
    session_options.input = !options.no_stdin && state.open_stdin;
    // A terminal passes its keys on as they are; they are no signals to forward.
    session_options.sig_proxy = options.sig_proxy && !state.tty;
    session_options.detach_keys = options.detach_keys;
    CO_TRY(const std::unique_ptr<AttachSession> session,
           AttachSession::make(context, *api, std::move(session_options)));
    CO_TRY(
        auto opened,
        co_await when_both(session->connect(), container_wait_open(*api, state.id, "not-running")));
    auto [stream, exit] = std::move(opened);
    CO_TRY(const AttachEnd end, co_await session->run(std::move(stream)));
    if (end == AttachEnd::detached) {
        co_return 0;
    }
    co_return co_await container_wait_finish(std::move(exit));
}

}  // namespace

constexpr Command attach_command{
    .name = "attach",
    .group = "container",
    .group_names = "attach",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Attach standard input, output and error to a running container",
    .count = {.min = 1, .max = 1},
    .flags = attach_flags,
    .body = command_body<AttachCommandOptions, attach>,
};

}  // namespace davit::cli
