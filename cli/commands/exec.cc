// davit exec: create, start (hijacked), and the exit code from inspect.
#include <span>

#include "cli/attach_session.h"
#include "cli/auth_config.h"
#include "cli/commands/commands.h"
#include "cli/container_api.h"
#include "cli/container_request.h"
#include "http/json_reader.h"

namespace davit::cli {

namespace {

struct ExecOptions {
    bool detach = false;
    std::string detach_keys;
    EnvironmentEntries env;
    std::vector<std::string> env_files;
    bool interactive = false;
    bool privileged = false;
    bool tty = false;
    std::string user;
    std::string workdir;
};

constexpr Flag exec_flags[] = {
    flag<ExecOptions, &ExecOptions::detach>("detach", 'd', "", "Run the command in the background"),
    flag<ExecOptions, &ExecOptions::detach_keys>(
        "detach-keys", 0, "string", "Key sequence that detaches (default \"ctrl-p,ctrl-q\")"),
    flag<ExecOptions, &ExecOptions::env>("env", 'e', "list", "Set an environment variable"),
    flag<ExecOptions, &ExecOptions::env_files>(
        "env-file", 0, "list", "Read environment variables from a file"),
    flag<ExecOptions, &ExecOptions::interactive>(
        "interactive", 'i', "", "Keep STDIN open even if not attached"),
    flag<ExecOptions, &ExecOptions::privileged>(
        "privileged", 0, "", "Give the command every capability"),
    flag<ExecOptions, &ExecOptions::tty>("tty", 't', "", "Give the command a terminal"),
    flag<ExecOptions, &ExecOptions::user>(
        "user", 'u', "string", "User or UID, and group (name|uid[:group|gid])"),
    flag<ExecOptions, &ExecOptions::workdir>(
        "workdir", 'w', "string", "Working directory inside the container"),
};

void size_write(JsonWriter& json, const std::optional<TerminalSize>& size) {
    if (size) {
        json.key("ConsoleSize").begin_array().number(size->rows).number(size->columns).end_array();
    }
}

Result<std::string> create_body(const ExecOptions& options,
                                Arguments arguments,
                                const std::optional<TerminalSize>& size) {
    TRY(const std::vector<std::string> environment,
        environment_make(options.env_files, options.env));
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    json_bool_if(json, "AttachStdin", options.interactive && !options.detach);
    json_bool_if(json, "AttachStdout", !options.detach);
    json_bool_if(json, "AttachStderr", !options.detach);
    json_bool_if(json, "Tty", options.tty);
    json_bool_if(json, "Privileged", options.privileged);
    json_string_if(json, "DetachKeys", options.detach_keys);
    json_string_if(json, "User", options.user);
    json_string_if(json, "WorkingDir", options.workdir);
    json_strings_if(json, "Env", environment);
    size_write(json, size);
    json.key("Cmd").strings(std::span(arguments).subspan(1)).end_object();
    return body;
}

std::string start_body(const ExecOptions& options, const std::optional<TerminalSize>& size) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("Detach").boolean(options.detach).key("Tty").boolean(options.tty);
    size_write(json, size);
    json.end_object();
    return body;
}

Task<std::string> exec_create(ApiClient& api, std::string container, std::string body) {
    ApiCall call{"POST", container_path(container, "exec")};
    call.body = std::move(body);
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(answer));
    co_return document.root().string_or("Id", "");
}

/// 0 if it still runs: nobody waits for it any more.
Task<int> exec_exit_code(ApiClient& api, std::string id) {
    ApiCall call{"GET", "/exec/" + id + "/json"};
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(answer));
    CO_TRY(const std::int64_t code, document.root().int64_or("ExitCode", 0));
    co_return static_cast<int>(code);
}

Task<int> exec_attached(Context& context,
                        ApiClient& api,
                        const ExecOptions& options,
                        std::string id,
                        std::string start) {
    AttachOptions attach;
    attach.exec = id;
    attach.exec_start = std::move(start);
    attach.tty = options.tty;
    attach.input = options.interactive;
    attach.sig_proxy = false;
    attach.detach_keys = options.detach_keys;
    CO_TRY(const std::unique_ptr<AttachSession> session,
           AttachSession::make(context, api, std::move(attach)));
    CO_TRY(ClientHijacked connection, co_await session->connect());
    CO_TRY(const AttachEnd end, co_await session->run(std::move(connection)));
    if (end == AttachEnd::detached) {
        co_return 0;
    }
    co_return co_await exec_exit_code(api, std::move(id));
}

Task<int> exec(Context& context, ExecOptions options, Arguments arguments) {
    CO_TRY(ApiClient * api, context.api());
    if (!options.detach && options.tty && options.interactive && !is_terminal(context.fds().in)) {
        context.err.line("the input device is not a TTY");
        co_return exit_failure;
    }
    std::optional<TerminalSize> size;
    if (options.tty) {
        size = terminal_size(context.fds().out);
        if (options.detach_keys.empty()) {
            options.detach_keys = configured_detach_keys(context.config_directory());
        }
    }
    CO_TRY(std::string body, create_body(options, arguments, size));
    CO_TRY(std::string id, co_await exec_create(*api, arguments[0], std::move(body)));
    std::string start = start_body(options, size);
    if (options.detach) {
        ApiCall call{"POST", "/exec/" + id + "/start"};
        call.body = std::move(start);
        CO_CHECK(co_await api->call(std::move(call)));
        co_return 0;
    }
    co_return co_await exec_attached(context, *api, options, std::move(id), std::move(start));
}

}  // namespace

constexpr Command exec_command{
    .name = "exec",
    .group = "container",
    .group_names = "exec",
    .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .summary = "Execute a command in a running container",
    .count = {.min = 2},
    .flags = exec_flags,
    .interspersed = false,
    .body = command_body<ExecOptions, exec>,
};

}  // namespace davit::cli
