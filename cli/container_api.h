#pragma once
/// The requests about one container that several commands make.
#include <functional>
#include <string>
#include <string_view>

#include "cli/context.h"
#include "cli/flags.h"

namespace davit::cli {

/// "/containers/NAME/verb", escaped.
std::string container_path(std::string_view container, std::string_view verb);

struct ContainerState {
    std::string id;
    bool tty = false;
    bool open_stdin = false;
    bool running = false;
    bool paused = false;
    bool restarting = false;
};

Task<ContainerState> container_state(ApiClient& api, std::string container);

Task<void> container_start(ApiClient& api, std::string container);

/// Open POST /containers/{id}/wait; its headers are here when the daemon watches.
Task<ApiStream> container_wait_open(ApiClient& api, std::string container, std::string condition);

/// The container's exit code, from the end of a wait. Errors: the daemon's; what it says went
/// wrong.
Task<int> container_wait_finish(ApiStream stream);

/// What a wait was answered with. Errors: as container_wait_finish().
Result<int> wait_outcome_parse(std::string_view body);

/// Do something to each container at the same time (as many as limits allow), and print each one's
/// name, or its error, in the order given. Gives the exit code.
using ContainerAction = std::function<Task<void>(ApiClient& api, std::string container)>;

Task<int> for_each_container(Context& context, Arguments containers, ContainerAction action);

/// docker's exit code for a container that could not be started: 127 for a program that is not
/// there, 126 for one that cannot be executed, else 125.
int start_exit_code(const Error& error);

}  // namespace davit::cli
