// Endpoints of execs: create, start, resize, inspect.
#include "jobs/exec.h"

#include "http/api/handlers.h"
#include "http/api/stream_type.h"
#include "http/json_reader.h"
#include "http/json_writer.h"
#include "http/registry/base64.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/task_group.h"

namespace davit::api {

namespace {

using ConsoleSize = std::array<std::uint32_t, 2>;

/// Nothing if there is none; before 1.42 it was ignored.
Result<std::optional<ConsoleSize>> console_size(const JsonValue& root, ApiVersion version) {
    TRY(const JsonValue member, root.array("ConsoleSize"));
    if (!member.present() || version < ApiVersion{1, 42}) {
        return std::optional<ConsoleSize>{};
    }
    TRY(const std::vector<JsonValue> cells, member.as_array());
    if (cells.size() != 2) {
        return Error(ErrorKind::invalid_argument, "ConsoleSize must be [height, width]");
    }
    ConsoleSize size{};
    for (std::size_t i = 0; i < 2; ++i) {
        TRY(const std::uint64_t count, cells[i].as_uint64());
        size[i] = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT16_MAX));
    }
    return std::optional<ConsoleSize>(size);
}

Result<JsonDocument> body_parse(const std::string& body) {
    if (body.find_first_not_of(" \t\r\n") == std::string::npos) {
        return Error(ErrorKind::invalid_argument,
                     "invalid JSON: got EOF while reading request body");
    }
    return JsonDocument::parse(body);
}

Result<ExecConfig> exec_config(const JsonValue& root, ApiVersion version) {
    ExecConfig config;
    TRY(config.attach_stdin, root.bool_or("AttachStdin", false));
    TRY(config.attach_stdout, root.bool_or("AttachStdout", false));
    TRY(config.attach_stderr, root.bool_or("AttachStderr", false));
    TRY(config.tty, root.bool_or("Tty", false));
    TRY(config.privileged, root.bool_or("Privileged", false));
    TRY(config.user, root.string_or("User", ""));
    TRY(config.working_dir, root.string_or("WorkingDir", ""));
    TRY(config.env, root.strings("Env"));
    TRY(config.cmd, root.strings_or_one("Cmd"));
    TRY(const std::string keys, root.string_or("DetachKeys", ""));
    if (!keys.empty()) {
        TRY(config.detach_keys, detach_keys_parse(keys));
    }
    TRY(const auto size, console_size(root, version));
    config.console_size = size.value_or(ConsoleSize{});
    if (config.cmd.empty()) {
        return Error(ErrorKind::invalid_argument, "No exec command specified");
    }
    return config;
}

struct StartRequest {
    bool detach = false;
    bool tty = false;
    std::optional<ConsoleSize> console_size;
};

Result<StartRequest> start_request(const std::string& body, ApiVersion version) {
    TRY(const JsonDocument document, body_parse(body));
    const JsonValue root = document.root();
    StartRequest request;
    TRY(request.detach, root.bool_or("Detach", false));
    TRY(request.tty, root.bool_or("Tty", false));
    TRY(request.console_size, console_size(root, version));
    if (!request.tty) {
        request.console_size.reset();
    }
    return request;
}

/// In Docker's order of keys.
std::string exec_json(const Exec& exec) {
    const ExecConfig& config = exec.config;
    const bool exited = exec.state == ExecState::exited;
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("ID").string(exec.id.str());
    json.key("Running").boolean(exec.state == ExecState::starting ||
                                exec.state == ExecState::running);
    json.key("ExitCode");
    if (exec.exit_code) {
        json.number(*exec.exit_code);
    } else {
        json.null();
    }
    json.key("ProcessConfig").begin_object().key("tty").boolean(config.tty);
    json.key("entrypoint").string(config.cmd.front());
    json.key("arguments").begin_array();
    for (std::size_t i = 1; i < config.cmd.size(); ++i) {
        json.string(config.cmd[i]);
    }
    json.end_array().key("privileged").boolean(config.privileged);
    if (!config.user.empty()) {
        json.key("user").string(config.user);
    }
    json.end_object().key("OpenStdin").boolean(config.attach_stdin);
    json.key("OpenStderr").boolean(config.attach_stderr);
    json.key("OpenStdout").boolean(config.attach_stdout);
    json.key("CanRemove").boolean(exited);
    json.key("ContainerID").string(exec.container->id().str());
    json.key("DetachKeys").string(base64_encode(config.detach_keys.value_or("")));
    json.key("Pid").number(exec.pid).end_object();
    return body;
}

using Started = std::optional<Result<std::shared_ptr<ExecRun>>>;

Task<void> start_into(ApiContext& context, std::shared_ptr<Exec> exec, Started& started) {
    started = co_await davit::exec_start(context.job, context.daemon, std::move(exec));
    co_return ok;
}

Task<void> hijack_into(ApiContext& context, bool framed, std::optional<Result<Hijacked>>& taken) {
    taken = co_await context.response.hijack(stream_type(context, framed));
    co_return ok;
}

/// What became of the start is told where the output would have been.
Task<void> failure_tell(ExecClient& client, const Error& error) {
    const std::string text = error.message() + "\r\n";
    FdStream& stream = *client.connection->stream;
    if (!client.framed) {
        CO_CHECK(co_await stream.write(text));
        co_return co_await stream.shutdown_write();
    }
    const std::array<char, 8> header = frame_header(OutputStream::standard_output, text.size());
    const std::array<std::string_view, 2> parts{std::string_view(header.data(), header.size()),
                                                text};
    CO_CHECK(co_await stream.write_parts(parts));
    co_return co_await stream.shutdown_write();
}

/// The process starts while the client reads the head of the answer; its output waits for that.
Task<void> start_attached(ApiContext& context, std::shared_ptr<Exec> exec, StartRequest request) {
    Started started;
    std::optional<Result<Hijacked>> connection;
    TaskGroup both(GroupPolicy::independent);
    both.spawn(hijack_into(context, !request.tty, connection));
    both.spawn(start_into(context, exec, started));
    // Both have an outcome also when this call is cancelled: what runs is followed in any case.
    static_cast<void>(co_await both.join());
    if (!*connection) {
        if (*started) {
            exec_supervise(context.daemon, exec, **started, nullptr);
        }
        co_return std::move(*connection).error();
    }
    Hijacked& taken = **connection;
    auto client = std::make_shared<ExecClient>();
    client->connection = std::make_shared<AttachedClient>(
        AttachedClient{std::move(taken.stream), std::move(taken.buffered)});
    client->output = exec->config.attach_stdout;
    client->error = exec->config.attach_stderr;
    client->framed = !request.tty;
    if (!*started) {
        co_return co_await failure_tell(*client, started->error());
    }
    exec_supervise(context.daemon, exec, **started, client);
    CO_TRY(const bool detached,
           co_await davit::exec_attach(context.job, exec, **started, std::move(client)));
    if (detached) {
        container_event(
            context.daemon, *exec->container, "exec_detach", {{"execID", exec->id.str()}});
    }
    co_return ok;
}

}  // namespace

Task<void> exec_create(ApiContext& context) {
    CO_TRY(auto container, context.daemon.containers.find(context.params.get("id")));
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(const JsonDocument document, body_parse(body));
    CO_TRY(ExecConfig config, exec_config(document.root(), context.version));
    CO_TRY(const auto exec,
           davit::exec_create(context.daemon, std::move(container), std::move(config)));
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().key("Id").string(exec->id.str()).end_object();
    co_return co_await context.send_json(201, std::move(answer));
}

Task<void> exec_start(ApiContext& context) {
    const std::string id(context.params.get("id"));
    CO_TRY([[maybe_unused]] const auto known, context.daemon.execs.find(id));
    CO_TRY(const std::string body, co_await context.json_body());
    CO_TRY(const StartRequest request, start_request(body, context.version));
    CO_TRY(const auto exec, exec_find_active(context.daemon, id));
    CO_CHECK(exec_startable(*exec));
    if (request.console_size) {
        exec->config.console_size = *request.console_size;
    }
    if (!request.detach) {
        co_return co_await start_attached(context, exec, request);
    }
    CO_TRY(auto run, co_await davit::exec_start(context.job, context.daemon, exec));
    exec_supervise(context.daemon, exec, std::move(run), nullptr);
    co_return co_await context.send_empty(200);
}

Task<void> exec_resize(ApiContext& context) {
    CO_TRY(const auto exec, exec_find_active(context.daemon, context.params.get("id")));
    CO_TRY(const TerminalSize size, terminal_size(context));
    CO_CHECK(co_await davit::exec_resize(exec, size.height, size.width));
    co_return co_await context.send_empty(200);
}

Task<void> exec_inspect(ApiContext& context) {
    CO_TRY(const auto exec, context.daemon.execs.find(context.params.get("id")));
    co_return co_await context.send_json(200, exec_json(*exec));
}

}  // namespace davit::api
