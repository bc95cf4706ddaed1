// Goal: containers are started again when Docker starts them again. Method: the policy as a table.
#include "jobs/container/restart_policy.h"

#include "tests/support/catch.h"

namespace davit {

namespace {

bool applies(const char* name, int retries, RunOutcome outcome) {
    return restart_policy_applies({name, retries}, outcome);
}

}  // namespace

TEST_CASE("a restart policy looks at code, count and who stopped it", "[restart]") {
    const RunOutcome good{.exit_code = 0};
    const RunOutcome bad{.exit_code = 3};
    const RunOutcome third{.exit_code = 3, .restart_count = 2};
    const RunOutcome stopped{.exit_code = 143, .manually_stopped = true};
    for (const char* never : {"", "no"}) {
        CHECK(!applies(never, 0, good));
        CHECK(!applies(never, 0, bad));
    }
    for (const RunOutcome& any : {good, bad, third, stopped}) {
        CHECK(applies("always", 0, any));
    }
    CHECK(applies("unless-stopped", 0, good));
    CHECK(applies("unless-stopped", 0, third));
    CHECK(!applies("unless-stopped", 0, stopped));
    CHECK(!applies("on-failure", 0, good));
    CHECK(applies("on-failure", 0, third));
    CHECK(applies("on-failure", 3, third));
    CHECK(!applies("on-failure", 2, third));
}

TEST_CASE("pauses between restarts double up to a minute", "[restart]") {
    using std::chrono::milliseconds;
    Nanoseconds pause{};
    for (int expected = 100; expected < 60'000; expected *= 2) {
        pause = restart_pause(pause, milliseconds(5));
        CHECK(pause == milliseconds(expected));
    }
    pause = restart_pause(pause, milliseconds(9'999));
    CHECK(pause == std::chrono::minutes(1));
    CHECK(restart_pause(pause, milliseconds(1)) == std::chrono::minutes(1));
    CHECK(restart_pause(pause, std::chrono::seconds(10)) == milliseconds(100));
}

}  // namespace davit
