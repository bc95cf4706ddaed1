// davit stop, restart, kill, rm: one request per container, all at the same time.
#include "cli/commands/commands.h"
#include "cli/container_api.h"

namespace davit::cli {

namespace {

struct StopOptions {
    std::string signal;
    std::optional<std::int64_t> timeout;
};

constexpr Flag stop_flags[] = {
    flag<StopOptions, &StopOptions::signal>("signal", 's', "string", "Signal to send"),
    flag<StopOptions, &StopOptions::timeout>(
        "timeout", 't', "int", "Seconds to wait before the container is killed"),
    flag<StopOptions, &StopOptions::timeout>("time", 0, "int", ""),
};

Task<void> stop_one(ApiClient& api,
                    std::string container,
                    std::string_view verb,
                    const StopOptions& options) {
    ApiCall call{"POST", container_path(container, verb)};
    if (!options.signal.empty()) {
        call.query.add("signal", options.signal);
    }
    if (options.timeout) {
        call.query.add("t", std::to_string(*options.timeout));
    }
    Result<std::string> stopped = co_await api.call(std::move(call));
    if (!stopped && stopped.error().kind() != ErrorKind::not_modified) {
        co_return std::move(stopped).error();
    }
    co_return ok;
}

Task<int> stop(Context& context, StopOptions options, Arguments arguments) {
    ContainerAction action = [&options](ApiClient& api, std::string container) {
        return stop_one(api, std::move(container), "stop", options);
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

Task<int> restart(Context& context, StopOptions options, Arguments arguments) {
    ContainerAction action = [&options](ApiClient& api, std::string container) {
        return stop_one(api, std::move(container), "restart", options);
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

struct KillOptions {
    std::string signal;
};

constexpr Flag kill_flags[] = {
    flag<KillOptions, &KillOptions::signal>(
        "signal", 's', "string", "Signal to send (default \"KILL\")"),
};

Task<void> kill_one(ApiClient& api, std::string container, const KillOptions& options) {
    ApiCall call{"POST", container_path(container, "kill")};
    if (!options.signal.empty()) {
        call.query.add("signal", options.signal);
    }
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    co_return ok;
}

Task<int> kill(Context& context, KillOptions options, Arguments arguments) {
    ContainerAction action = [&options](ApiClient& api, std::string container) {
        return kill_one(api, std::move(container), options);
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

struct RemoveOptions {
    bool force = false;
    bool link = false;
    bool volumes = false;
};

constexpr Flag remove_flags[] = {
    flag<RemoveOptions, &RemoveOptions::force>(
        "force", 'f', "", "Remove a running container (kills it)"),
    flag<RemoveOptions, &RemoveOptions::link>(
        "link", 'l', "", "Remove the link, not the container"),
    flag<RemoveOptions, &RemoveOptions::volumes>(
        "volumes", 'v', "", "Remove its anonymous volumes too"),
};

Task<void> remove_one(ApiClient& api, std::string container, const RemoveOptions& options) {
    while (container.starts_with('/')) {
        container.erase(0, 1);
    }
    ApiCall call{"DELETE", container_path(container, "")};
    const std::pair<const char*, bool> switches[] = {
        {"force", options.force}, {"link", options.link}, {"v", options.volumes}};
    for (const auto& [name, given] : switches) {
        if (given) {
            call.query.add(name, "1");
        }
    }
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    co_return ok;
}

Task<int> remove(Context& context, RemoveOptions options, Arguments arguments) {
    ContainerAction action = [&options](ApiClient& api, std::string container) {
        return remove_one(api, std::move(container), options);
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

}  // namespace

constexpr Command stop_command{
    .name = "stop",
    .group = "container",
    .group_names = "stop",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Stop one or more running containers",
    .count = {.min = 1},
    .flags = stop_flags,
    .body = command_body<StopOptions, stop>,
};

constexpr Command restart_command{
    .name = "restart",
    .group = "container",
    .group_names = "restart",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Restart one or more containers",
    .count = {.min = 1},
    .flags = stop_flags,
    .body = command_body<StopOptions, restart>,
};

constexpr Command kill_command{
    .name = "kill",
    .group = "container",
    .group_names = "kill",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Kill one or more running containers",
    .count = {.min = 1},
    .flags = kill_flags,
    .body = command_body<KillOptions, kill>,
};

constexpr Command rm_command{
    .name = "rm",
    .group = "container",
    .group_names = "rm remove",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Remove one or more containers",
    .count = {.min = 1},
    .flags = remove_flags,
    .body = command_body<RemoveOptions, remove>,
};

}  // namespace davit::cli
