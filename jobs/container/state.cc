#include "jobs/container/state.h"

#include <algorithm>
#include <string>

namespace davit {

namespace {

constexpr std::array<std::string_view, container_state_count> names{
    "created", "running", "paused", "restarting", "removing", "exited", "dead"};

Error conflict(std::string message) {
    return Error(ErrorKind::conflict, std::move(message));
}

Error start_error(ContainerState state) {
    if (state == ContainerState::running) {
        return Error(ErrorKind::not_modified, "Container is already started");
    }
    if (state == ContainerState::paused) {
        return conflict("cannot start a paused container, try unpause instead");
    }
    return conflict("container is marked for removal and cannot be started");
}

Error pause_error(ContainerState state, const std::string& container) {
    if (state == ContainerState::paused) {
        return conflict(container + " is already paused");
    }
    if (state == ContainerState::restarting) {
        return conflict(container + " is restarting, wait until the container is running");
    }
    return conflict(container + " is not running");
}

Error remove_error(ContainerState state, std::string_view id) {
    if (state == ContainerState::removing) {
        return conflict("removal of container " + std::string(id) + " is already in progress");
    }
    const std::string why = state == ContainerState::paused
                                ? "container is paused and must be unpaused first"
                                : "container is " + std::string(container_state_name(state)) +
                                      ": stop the container before removing or force remove";
    return conflict("cannot remove container \"" + std::string(id) + "\": " + why);
}

}  // namespace

std::string_view container_state_name(ContainerState state) {
    return names[static_cast<std::size_t>(state)];
}

Result<ContainerState> container_state_parse(std::string_view name) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
        return Error(ErrorKind::invalid_argument, "not a container state: " + std::string(name));
    }
    return static_cast<ContainerState>(found - names.begin());
}

Result<ContainerState> container_state_check(ContainerState state,
                                             ContainerEvent event,
                                             std::string_view id) {
    if (const std::optional<ContainerState> next = container_state_next(state, event)) {
        return *next;
    }
    const std::string container = "container " + std::string(id);
    switch (event) {
        case ContainerEvent::start:
            return start_error(state);
        case ContainerEvent::stop:
            return Error(ErrorKind::not_modified, "Container is already stopped");
        case ContainerEvent::pause:
            return pause_error(state, container);
        case ContainerEvent::unpause:
            return conflict(container + " is not paused");
        case ContainerEvent::remove:
            return remove_error(state, id);
        case ContainerEvent::remove_fail:
            return conflict(container + " is not being removed");
        case ContainerEvent::kill:
        case ContainerEvent::exit:
        case ContainerEvent::restart:
            break;
    }
    return conflict(container + " is not running");
}

}  // namespace davit
