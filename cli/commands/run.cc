// davit run: create, attach, start and wait, in one request (POST /davit/run) where the daemon
// knows it. One that does not (an older davit, Docker) is asked one after the other: two more
// connections are made while it creates the container, so that attach and wait go out together, and
// start as soon as both have answered.
#include <fmt/format.h>

#include "cli/attach_session.h"
#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/container_create.h"
#include "http/json_reader.h"
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
Task<int> run_by_steps(Context& context,
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
    constexpr std::size_t connections = 2;
    CO_TRY(auto created,
           co_await when_both(
               container_create(context, api, options, std::move(request), std::move(image)),
               api.warm(connections)));
    co_return std::move(created.first);
}

constexpr std::string_view no_such_endpoint = "page not found";

/// The one request, with the pull that it may need first. Gives: nothing if the daemon does not
/// know it. The session may be made twice: while an image is pulled, signals are not for the
/// container.
class RunInOne {
  public:
    RunInOne(Context& context, ApiClient& api, const AttachOptions& attach)
        : context_(context), api_(api), attach_(attach) {}

    Task<CreateAnswer> post() {
        session_.reset();
        CO_TRY(session_, AttachSession::make(context_, api_, attach_));
        CO_TRY(stream_, co_await session_->connect());
        CreateAnswer answer;
        answer.id = session_->container();
        if (!session_->warnings().empty()) {
            CO_TRY(const JsonDocument document, JsonDocument::parse(session_->warnings()));
            CO_TRY(answer.warnings, document.root().as_strings());
        }
        co_return std::move(answer);
    }

    Task<int> finish() {
        CO_TRY(const AttachEnd end, co_await session_->run(std::move(stream_)));
        if (end == AttachEnd::detached) {
            co_return 0;
        }
        if (session_->end().empty()) {
            co_return Error(ErrorKind::unavailable, "the daemon's stream ended without an outcome");
        }
        CO_TRY(const JsonDocument document, JsonDocument::parse(session_->end()));
        CO_TRY(const JsonValue error, document.root().object("StartError"));
        CO_TRY(const std::int64_t status, error.int64_or("Status", 0));
        if (status != 0) {
            CO_TRY(const std::string message, error.string_or("Message", ""));
            co_return Error(kind_from_status(static_cast<int>(status)),
                            "Error response from daemon: " + message);
        }
        co_return wait_outcome_parse(session_->end());
    }

  private:
    Context& context_;
    ApiClient& api_;
    const AttachOptions& attach_;
    std::unique_ptr<AttachSession> session_;
    ClientHijacked stream_;
};

Task<std::optional<int>> run_in_one(Context& context,
                                    ApiClient& api,
                                    const RunOptions& options,
                                    const AttachOptions& attach,
                                    std::string image) {
    RunInOne run(context, api, attach);
    bool is_known = true;
    const auto post = [&run, &is_known]() -> Task<CreateAnswer> {
        Result<CreateAnswer> answer = co_await run.post();
        if (!answer && answer.error().message().find(no_such_endpoint) != std::string::npos) {
            is_known = false;
            co_return std::move(answer).error().with_kind(ErrorKind::unsupported);
        }
        co_return std::move(answer);
    };
    const Result<std::string> id =
        co_await container_create_by(context, api, options, std::move(image), post);
    if (!is_known) {
        co_return std::nullopt;
    }
    CO_CHECK(id);
    CO_TRY(const int code, co_await run.finish());
    co_return code;
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
    if (options.detach) {
        CO_TRY(const std::string id,
               co_await container_create(context, *api, options, std::move(request), arguments[0]));
        CO_CHECK(co_await container_start(*api, id));
        context.out.line(id);
        co_return 0;
    }
    AttachOptions attach;
    attach.tty = options.tty;
    attach.input = streams.in;
    attach.output = streams.out;
    attach.error = streams.err;
    attach.sig_proxy = options.sig_proxy;
    attach.detach_keys = options.detach_keys;
    if (attach.tty && attach.detach_keys.empty()) {
        attach.detach_keys = configured_detach_keys(context.config_directory());
    }
    attach.run = RunRequest{request.query, request.body};
    CO_TRY(const std::optional<int> code,
           co_await run_in_one(context, *api, options, attach, arguments[0]));
    if (code) {
        co_return *code;
    }
    attach.run.reset();
    CO_TRY(attach.container,
           co_await create_and_warm(context, *api, options, std::move(request), arguments[0]));
    co_return co_await run_by_steps(context, *api, options, std::move(attach));
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
