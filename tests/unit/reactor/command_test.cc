/// Goal: programs of the host run to their end, and none outlives whoever asked for it.
#include "reactor/command.h"

#include <csignal>

#include "reactor/loop.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

namespace davit {

TEST_CASE("output, errors and exit status", "[reactor][command]") {
    auto body = []() -> Task<void> {
        std::vector<std::string> words{"sh", "-c", "cat; echo out; echo err >&2; exit 7"};
        CO_TRY(const CommandOutput ran, co_await command_run(std::move(words), 1000));
        CHECK(ran.output == "out\n");
        CHECK(ran.error == "err\n");
        CHECK(ran.status.shell_code() == 7);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("signals are as a program expects them", "[reactor][command]") {
    auto body = []() -> Task<void> {
        std::vector<std::string> words{"sh", "-c", "grep SigBlk /proc/self/status; kill -TERM $$"};
        CO_TRY(const CommandOutput ran, co_await command_run(std::move(words), 1000));
        CHECK(ran.output == "SigBlk:\t0000000000000000\n");
        CHECK(ran.status.shell_code() == 128 + SIGTERM);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("no such program; too much output; nobody waits any more", "[reactor][command]") {
    auto body = []() -> Task<void> {
        std::vector<std::string> missing{"/no/such/program"};
        const auto none = co_await command_run(std::move(missing), 1000);
        REQUIRE_FALSE(none);
        CHECK(none.error().kind() == ErrorKind::not_found);
        std::vector<std::string> endless{"yes"};
        const auto much = co_await command_run(std::move(endless), 1000);
        REQUIRE_FALSE(much);
        CHECK(much.error().kind() == ErrorKind::resource_exhausted);
        std::vector<std::string> sleeper{"sleep", "1000"};
        const auto late = co_await with_timeout(std::chrono::milliseconds(50),
                                                command_run(std::move(sleeper), 1000));
        REQUIRE_FALSE(late);
        CHECK(late.error().kind() == ErrorKind::timed_out);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

}  // namespace davit
