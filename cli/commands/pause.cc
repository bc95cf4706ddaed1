// davit pause, unpause
#include "cli/commands/commands.h"
#include "cli/container_api.h"

namespace davit::cli {

namespace {

struct PauseOptions {};

Task<void> post(ApiClient& api, std::string container, std::string_view verb) {
    ApiCall call{"POST", container_path(container, verb)};
    CO_TRY(const std::string answer, co_await api.call(std::move(call)));
    co_return ok;
}

Task<int> pause(Context& context, PauseOptions, Arguments arguments) {
    ContainerAction action = [](ApiClient& api, std::string container) {
        return post(api, std::move(container), "pause");
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

Task<int> unpause(Context& context, PauseOptions, Arguments arguments) {
    ContainerAction action = [](ApiClient& api, std::string container) {
        return post(api, std::move(container), "unpause");
    };
    co_return co_await for_each_container(context, std::move(arguments), std::move(action));
}

}  // namespace

constexpr Command pause_command{
    .name = "pause",
    .group = "container",
    .group_names = "pause",
    .usage = "CONTAINER [CONTAINER...]",
    .summary = "Pause all processes within one or more containers",
    .count = {.min = 1},
    .body = command_body<PauseOptions, pause>,
};

constexpr Command unpause_command{
    .name = "unpause",
    .group = "container",
    .group_names = "unpause",
    .usage = "CONTAINER [CONTAINER...]",
    .summary = "Unpause all processes within one or more containers",
    .count = {.min = 1},
    .body = command_body<PauseOptions, unpause>,
};

}  // namespace davit::cli
