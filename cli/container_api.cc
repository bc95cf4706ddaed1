#include "cli/container_api.h"

#include "cli/command.h"
#include "http/json_reader.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"

namespace davit::cli {

namespace {

Task<void> act(ApiClient& api,
               const ContainerAction& action,
               const std::string& container,
               Semaphore& turns,
               std::optional<Error>& failure) {
    CO_TRY(const Semaphore::Permit permit, co_await turns.acquire());
    Result<void> done = co_await action(api, container);
    if (!done) {
        failure = std::move(done).error();
    }
    co_return ok;
}

}  // namespace

std::string container_path(std::string_view container, std::string_view verb) {
    std::string path = "/containers/" + percent_encode(container);
    if (!verb.empty()) {
        path += '/';
        path += verb;
    }
    return path;
}

Task<ContainerState> container_state(ApiClient& api, std::string container) {
    ApiCall call{"GET", container_path(container, "json")};
    CO_TRY(const std::string body, co_await api.call(std::move(call)));
    CO_TRY(const JsonDocument document, JsonDocument::parse(body));
    const JsonValue root = document.root();
    const JsonValue config = root.member("Config");
    const JsonValue state = root.member("State");
    ContainerState found;
    CO_TRY(found.id, root.string_or("Id", container));
    CO_TRY(found.tty, config.bool_or("Tty", false));
    CO_TRY(found.open_stdin, config.bool_or("OpenStdin", false));
    CO_TRY(found.running, state.bool_or("Running", false));
    CO_TRY(found.paused, state.bool_or("Paused", false));
    CO_TRY(found.restarting, state.bool_or("Restarting", false));
    co_return std::move(found);
}

Task<void> container_start(ApiClient& api, std::string container) {
    ApiCall call{"POST", container_path(container, "start")};
    Result<std::string> started = co_await api.call(std::move(call));
    if (!started && started.error().kind() != ErrorKind::not_modified) {
        co_return std::move(started).error();
    }
    co_return ok;
}

Task<ApiStream> container_wait_open(ApiClient& api, std::string container, std::string condition) {
    ApiCall call{"POST", container_path(container, "wait")};
    if (!condition.empty()) {
        call.query.add("condition", std::move(condition));
    }
    return api.open(std::move(call));
}

Task<int> container_wait_finish(ApiStream stream) {
    CO_TRY(const std::string body, co_await stream.read_all());
    co_return wait_outcome_parse(body);
}

Result<int> wait_outcome_parse(std::string_view body) {
    TRY(const JsonDocument document, JsonDocument::parse(body));
    TRY(const JsonValue error, document.root().object("Error"));
    TRY(std::string message, error.string_or("Message", ""));
    if (!message.empty()) {
        return Error(ErrorKind::internal, "Error waiting for container: " + message);
    }
    TRY(const std::int64_t code, document.root().int64_or("StatusCode", 0));
    return static_cast<int>(code);
}

Task<int> for_each_container(Context& context, Arguments containers, ContainerAction action) {
    CO_TRY(ApiClient * api, context.api());
    std::vector<std::optional<Error>> failures(containers.size());
    Semaphore turns(limits::cli_parallel_max);
    TaskGroup group(GroupPolicy::independent);
    for (std::size_t i = 0; i < containers.size(); ++i) {
        group.spawn(act(*api, action, containers[i], turns, failures[i]));
    }
    CO_CHECK(co_await group.join());
    int code = 0;
    for (std::size_t i = 0; i < containers.size(); ++i) {
        if (failures[i]) {
            context.err.line(failures[i]->message());
            code = exit_failure;
        } else {
            context.out.line(containers[i]);
        }
    }
    co_return code;
}

int start_exit_code(const Error& error) {
    if (error.errno_value() != 0) {
        return exit_usage;  // What failed was a call of our own: the daemon's come without.
    }
    const std::string message = error.message();
    const auto has = [&message](std::string_view text) {
        return message.find(text) != std::string::npos;
    };
    if (has("executable file not found") || has("no such file or directory")) {
        return exit_not_found;
    }
    if (has("permission denied") || has("is a directory")) {
        return exit_not_executable;
    }
    return exit_usage;
}

}  // namespace davit::cli
