// Goal: what coroutines share (channels, mutexes, undo lists) and the loop's own measuring keep
// their promises. Method: real loop; order instead of times.
#include <vector>

#include "reactor/async_event.h"
#include "reactor/channel.h"
#include "reactor/loop.h"
#include "reactor/stream.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "reactor/undo.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace std::chrono_literals;

TEST_CASE("a channel keeps order, holds its writer, and drains after close", "[channel]") {
    auto body = []() -> Task<void> {
        Channel<int> channel(2);
        auto writer = [](Channel<int>& out) -> Task<void> {
            for (int i = 0; i < 100; ++i) {
                CO_CHECK(co_await out.send(i));
                CHECK(out.size() <= 2);
            }
            out.close();
            co_return ok;
        };
        TaskGroup group;
        group.spawn(writer(channel));
        for (int i = 0;; ++i) {
            CO_TRY(const std::optional<int> value, co_await channel.receive());
            if (!value) {
                CHECK(i == 100);
                break;
            }
            CHECK(*value == i);
        }
        co_return co_await group.join();
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a mutex gives turns in order of arrival", "[mutex]") {
    auto body = []() -> Task<void> {
        AsyncMutex mutex;
        std::vector<int> order;
        auto holder = [](AsyncMutex& lock, std::vector<int>& out, int value) -> Task<void> {
            CO_TRY(const auto permit, co_await lock.lock());
            co_await yield_now();
            out.push_back(value);
            co_return ok;
        };
        TaskGroup group;
        for (int i = 0; i < 5; ++i) {
            group.spawn(holder(mutex, order, i));
        }
        CO_CHECK(co_await group.join());
        CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("undo runs newest first and goes on after a failure", "[undo]") {
    auto body = []() -> Task<void> {
        std::string log;
        Undo undo;
        auto step = [](std::string& out, char name, bool fails) -> Task<void> {
            out += name;
            if (fails) {
                co_return Error(ErrorKind::internal, "stuck");
            }
            co_return ok;
        };
        undo.add("a", [&] { return step(log, 'a', false); });
        undo.add("b", [&] { return step(log, 'b', true); });
        undo.add("c", [&] { return step(log, 'c', false); });
        CO_CHECK(co_await undo.unwind());
        CHECK(log == "cba");
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("who yields lets descriptors be served, however long it goes on", "[loop]") {
    auto body = []() -> Task<void> {
        CO_TRY(Pipe pipe, pipe_make());
        CO_TRY(const auto stream, FdStream::make(std::move(pipe.read_end)));
        bool got = false;
        auto reader = [](FdStream& in, bool& done) -> Task<void> {
            char byte = 0;
            CO_CHECK(co_await in.readable());
            CO_CHECK(co_await in.read(std::span(&byte, 1)));
            done = true;
            co_return ok;
        };
        TaskGroup group;
        group.spawn(reader(*stream, got));
        co_await yield_now();
        CO_CHECK(write_all(pipe.write_end.get(), "x"));
        int turns = 0;
        while (!got && turns < 100) {
            ++turns;
            co_await yield_now();
        }
        CHECK(turns < 100);
        co_return co_await group.join();
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("the loop measures its own stalls", "[loop]") {
    auto body = []() -> Task<void> {
        CO_CHECK(co_await sleep_for(1ms));
        const MonotonicTime until = monotonic_now() + 30ms;
        while (monotonic_now() < until) {
        }
        CO_CHECK(co_await sleep_for(1ms));
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
    CHECK(loop.stalls().longest() >= 25ms);
    CHECK(loop.stalls().long_turns() >= 1);
    loop.stalls() = StallDetector();
    CHECK(loop.stalls().longest() == Nanoseconds::zero());
    CHECK(loop.stalls().turns() == 0);
}
