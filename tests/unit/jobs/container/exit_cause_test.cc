// Goal: the sentence of `davit why` says what was seen, and no more. Method: states by hand.
#include "jobs/container/exit_cause.h"

#include <csignal>

#include "jobs/container/record.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

ContainerStateRecord ended(int code, ExitCause cause) {
    ContainerStateRecord state;
    state.status = ContainerState::exited;
    state.exit_code = code;
    state.finished_at = WallTime{};
    state.cause = std::move(cause);
    return state;
}

}  // namespace

TEST_CASE("why a container ended") {
    ExitCause cause;
    CHECK(exit_reason(ended(3, cause)) == "exited with code 3");
    cause.sent = SIGTERM;
    cause.sender = "a stop request";
    CHECK(exit_reason(ended(7, cause)) ==
          "exited with code 7, after it was sent SIGTERM from a stop request");
    cause.signal = SIGTERM;
    CHECK(exit_reason(ended(143, cause)) == "killed by SIGTERM from a stop request");
    cause.signal = SIGSEGV;
    CHECK(exit_reason(ended(139, cause)) == "killed by SIGSEGV, which davit did not send");
    CHECK(exit_reason(
              ended(175, {.signal = 47, .sender = {}, .memory_cgroup = {}, .failed_phase = {}})) ==
          "killed by signal 47, which davit did not send");
    CHECK(exit_reason(ContainerStateRecord{}).empty());
}

TEST_CASE("why a container ended that ran out of memory") {
    ExitCause cause;
    cause.signal = SIGKILL;
    cause.memory_cgroup = "/davit/x";
    cause.memory_limit = 64 << 20;
    cause.memory_peak = 65 << 20;
    ContainerStateRecord state = ended(137, cause);
    state.oom_killed = true;
    CHECK(exit_reason(state) ==
          "killed by the kernel, its first process being the victim: out of memory in cgroup "
          "/davit/x "
          "(limit 64 MiB, peak 65 MiB)");
    state.cause.signal = 0;
    state.cause.memory_peak = 0;
    state.exit_code = 1;
    CHECK(
        exit_reason(state) ==
        "exited with code 1; before that the kernel killed another process of it, out of memory in "
        "cgroup /davit/x (limit 64 MiB)");
}

TEST_CASE("why a container was not started, or nobody knows how it ended") {
    ContainerStateRecord state;
    state.error = "no such file";
    state.cause.failed_phase = "exec";
    CHECK(exit_reason(state) == "not started: exec: no such file");
    ContainerStateRecord lost = ended(255, {});
    lost.error = "ended while no daemon ran";
    CHECK(exit_reason(lost) == "ended while no daemon ran");
}

}  // namespace davit
