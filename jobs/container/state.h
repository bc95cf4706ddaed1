#pragma once
/// The container's state machine: one table from (state, event) to the next state. Nothing else
/// changes a state. Follows: Docker Engine API, ContainerState.Status.
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// Spelled as on the wire.
enum class ContainerState : std::uint8_t {
    created,
    running,
    paused,
    restarting,  // Between two runs, by its restart policy.
    removing,
    exited,
    dead,  // A removal could not finish.
};
inline constexpr std::size_t container_state_count = 7;

enum class ContainerEvent : std::uint8_t {
    start,
    stop,
    kill,
    pause,
    unpause,
    exit,         // The process ended.
    restart,      // The process ended and will be started again.
    remove,       // A removal begins.
    remove_fail,  // It could not finish; it may be tried again.
};
inline constexpr std::size_t container_event_count = 9;

/// Rows: states; columns: events; nothing: not possible. stop and kill only ask the process to end;
/// its exit is what changes the state, except between two runs.
inline constexpr auto container_transitions = [] {
    using S = ContainerState;
    using Next = std::optional<ContainerState>;
    constexpr Next no = std::nullopt;
    return std::array<std::array<Next, container_event_count>, container_state_count>{{
        // start      stop        kill        pause      unpause     exit       restart       remove
        // remove_fail
        /* created */ {S::running, no, no, no, no, no, no, S::removing, no},
        /* running */
        {no, S::running, S::running, S::paused, no, S::exited, S::restarting, no, no},
        /* paused */
        {no, S::paused, S::paused, no, S::running, S::exited, S::restarting, no, no},
        /* restarting */ {S::running, S::exited, S::exited, no, no, S::exited, no, no, no},
        /* removing */ {no, no, no, no, no, no, no, no, S::dead},
        /* exited */ {S::running, no, no, no, no, no, no, S::removing, no},
        /* dead */ {no, no, no, no, no, no, no, S::removing, no},
    }};
}();

/// The state after an event; nothing if the event is not possible in that state.
constexpr std::optional<ContainerState> container_state_next(ContainerState state,
                                                             ContainerEvent event) {
    return container_transitions[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

/// Of a run whose end nobody has seen: the host was restarted, or daemon and keeper had died. As
/// Docker.
inline constexpr int exit_code_unknown = 255;

std::string_view container_state_name(ContainerState state);

/// Errors: invalid_argument.
Result<ContainerState> container_state_parse(std::string_view name);

/// As container_state_next(), with the error that a client gets, in Docker's words. id is for the
/// message. Errors: not_modified (start of a running one, stop of a stopped one); conflict.
Result<ContainerState> container_state_check(ContainerState state,
                                             ContainerEvent event,
                                             std::string_view id);

}  // namespace davit
