// davit run: create, attach, wait, start, in as few round trips as keep every byte and exit code.
//
// Two more connections are made while the daemon creates the container, so that attach and wait go
// out together, and start on a third one as soon as both have answered: the daemon then has its
// reader of output and its watcher of the exit before the first instruction runs.
#include <fmt/format.h>

#include "cli/attach_session.h"
#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/container_create.h"
#include "reactor/task_group.h"

namespace davit::cli {

namespace {

struct RunOptions : CreateOptions {
    using Base = CreateOptions;

    bool detach = false;
    bool sig_proxy = true;
    std::string detach_keys;
};

constexpr Flag run_flags[] = {
    flag<RunOptions, &RunOptions::detach>(
        "detach", 'd', "", "Run in the background and print the container's ID"),
    flag<RunOptions, &RunOptions::detach_keys>(
        "detach-keys", 0, "string", "Key sequence that detaches (default \"ctrl-p,ctrl-q\")"),
    flag<RunOptions, &RunOptions::sig_proxy>(
        "sig-proxy", 0, "", "Forward signals to the process (default true)"),
};

/// attach, wait, start; then until the output ends.
Task<int> run_attached(Context& context,
                       ApiClient& api,
                       const RunOptions& options,
                       AttachOptions attach) {
    const std::string id = attach.container;
    CO_TRY(const std::unique_ptr<AttachSession> session,
           AttachSession::make(context, api, std::move(attach)));
    CO_TRY(
        auto opened,
        co_await when_both(session->connect(),
                           container_wait_open(api, id, options.remove ? "removed" : "next-exit")));
    auto [stream, exit] = std::move(opened);
    Result<void> started = co_await container_start(api, id);
    if (!started) {
        if (options.remove) {
            // The daemon removes it again; the next run may want its name.
            static_cast<void>(co_await container_wait_finish(std::move(exit)));
        }
        co_return std::move(started).error();
    }
    CO_TRY(const AttachEnd end, co_await session->run(std::move(stream)));
    if (end == AttachEnd::detached) {
        co_return 0;
    }
    co_return co_await container_wait_finish(std::move(exit));
}

Task<std::string> create_and_warm(Context& context,
                                  ApiClient& api,
                                  const RunOptions& options,
                                  CreateRequest request,
                                  std::string image) {
    // start follows create on its connection; attach and wait need one each.
    const std::size_t connections = options.detach ? 0 : 2;
    CO_TRY(auto created,
           co_await when_both(
               container_create(context, api, options, std::move(request), std::move(image)),
               api.warm(connections)));
    co_return std::move(created.first);
}

Task<int> run(Context& context, RunOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    if (options.detach && !options.attach.empty()) {
        context.err.line("conflicting options: cannot specify both --attach and --detach");
        co_return exit_failure;
    }
    AttachedStreams streams;
    if (!options.detach) {
        CO_TRY(streams, attached_streams(options));
    }
    if (options.tty && streams.in && !is_terminal(context.fds().in)) {
        context.err.line("the input device is not a TTY");
        co_return exit_failure;
    }
    CO_TRY(CreateRequest request,
           create_request_make(options, arguments, streams, terminal_size(context.fds().out)));
    CO_TRY(std::string id,
           co_await create_and_warm(context, *api, options, std::move(request), arguments[0]));
    if (options.detach) {
        CO_CHECK(co_await container_start(*api, id));
        context.out.line(id);
        co_return 0;
    }
    AttachOptions attach;
    attach.container = std::move(id);
    attach.tty = options.tty;
    attach.input = streams.in;
    attach.output = streams.out;
    attach.error = streams.err;
    attach.sig_proxy = options.sig_proxy;
    attach.detach_keys = options.detach_keys;
    if (attach.tty && attach.detach_keys.empty()) {
        attach.detach_keys = configured_detach_keys(context.config_directory());
    }
    co_return co_await run_attached(context, *api, options, std::move(attach));
}

}  // namespace

constexpr Command run_command{
    .name = "run",
    .group = "container",
    .group_names = "run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Create and run a new container from an image",
    .count = {.min = 1},
    .flags = run_flags,
    .base_flags = create_flags,
    .interspersed = false,
    .prefix_errors = true,
    .exit_code = start_exit_code,
    .body = command_body<RunOptions, run>,
};

}  // namespace davit::cli
