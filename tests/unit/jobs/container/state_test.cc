// Goal: the state machine is the one that Docker's clients know.
// Method: every pair of state and event, against a table written in words; then each refusal's
// text.
#include "jobs/container/state.h"

#include <map>
#include <string>

#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using davit::test::failure;

namespace {

using S = ContainerState;
using E = ContainerEvent;

constexpr std::array states{
    S::created, S::running, S::paused, S::restarting, S::removing, S::exited, S::dead};
constexpr std::array events{E::start,
                            E::stop,
                            E::kill,
                            E::pause,
                            E::unpause,
                            E::exit,
                            E::restart,
                            E::remove,
                            E::remove_fail};

static_assert(states.size() == container_state_count);
static_assert(events.size() == container_event_count);
static_assert(container_state_next(S::created, E::start) == S::running);

/// What is possible; everything else is not.
const std::map<std::pair<S, E>, S> expected{
    {{S::created, E::start}, S::running},      {{S::created, E::remove}, S::removing},
    {{S::running, E::stop}, S::running},       {{S::running, E::kill}, S::running},
    {{S::running, E::pause}, S::paused},       {{S::running, E::exit}, S::exited},
    {{S::running, E::restart}, S::restarting}, {{S::paused, E::stop}, S::paused},
    {{S::paused, E::kill}, S::paused},         {{S::paused, E::unpause}, S::running},
    {{S::paused, E::exit}, S::exited},         {{S::paused, E::restart}, S::restarting},
    {{S::restarting, E::start}, S::running},   {{S::restarting, E::stop}, S::exited},
    {{S::restarting, E::kill}, S::exited},     {{S::restarting, E::exit}, S::exited},
    {{S::removing, E::remove_fail}, S::dead},  {{S::exited, E::start}, S::running},
    {{S::exited, E::remove}, S::removing},     {{S::dead, E::remove}, S::removing},
};

}  // namespace

TEST_CASE("every state answers every event", "[container][state]") {
    for (const S state : states) {
        for (const E event : events) {
            INFO(container_state_name(state) << ", event " << static_cast<int>(event));
            const auto found = expected.find({state, event});
            const auto next = container_state_next(state, event);
            const auto checked = container_state_check(state, event, "abc");
            if (found == expected.end()) {
                CHECK_FALSE(next.has_value());
                REQUIRE_FALSE(checked);
                const ErrorKind kind = checked.error().kind();
                CHECK((kind == ErrorKind::conflict || kind == ErrorKind::not_modified));
            } else {
                CHECK(next == found->second);
                REQUIRE(checked);
                CHECK(*checked == found->second);
            }
        }
    }
}

TEST_CASE("states are spelled as on the wire and read back", "[container][state]") {
    std::string all;
    for (const S state : states) {
        all.append(container_state_name(state)).append(" ");
        const auto parsed = container_state_parse(container_state_name(state));
        REQUIRE(parsed);
        CHECK(*parsed == state);
    }
    CHECK(all == "created running paused restarting removing exited dead ");
    CHECK(container_state_parse("stopped").error().kind() == ErrorKind::invalid_argument);
}

TEST_CASE("refusals are in Docker's words", "[container][state]") {
    const auto refusal = [](S state, E event) {
        return failure(container_state_check(state, event, "abc"));
    };
    CHECK(refusal(S::running, E::start) == "not_modified: Container is already started");
    CHECK(refusal(S::exited, E::stop) == "not_modified: Container is already stopped");
    CHECK(refusal(S::paused, E::start) ==
          "conflict: cannot start a paused container, try unpause instead");
    CHECK(refusal(S::dead, E::start) ==
          "conflict: container is marked for removal and cannot be started");
    CHECK(refusal(S::exited, E::kill) == "conflict: container abc is not running");
    CHECK(refusal(S::created, E::pause) == "conflict: container abc is not running");
    CHECK(refusal(S::paused, E::pause) == "conflict: container abc is already paused");
    CHECK(refusal(S::restarting, E::pause) ==
          "conflict: container abc is restarting, wait until the container is running");
    CHECK(refusal(S::running, E::unpause) == "conflict: container abc is not paused");
    CHECK(refusal(S::removing, E::remove) ==
          "conflict: removal of container abc is already in progress");
    CHECK(refusal(S::running, E::remove) ==
          "conflict: cannot remove container \"abc\": container is running: stop the container "
          "before removing or force remove");
    CHECK(refusal(S::paused, E::remove) ==
          "conflict: cannot remove container \"abc\": container is paused and must be unpaused "
          "first");
}
