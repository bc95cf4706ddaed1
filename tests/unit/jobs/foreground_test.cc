/// Goal: bulk work waits for what is in the foreground, but never for long, and not for who waits
/// for it. Method: holds that the test keeps, and bulk work that has to come to its end.
#include "jobs/foreground.h"

#include <atomic>
#include <memory>

#include "reactor/offload.h"
#include "reactor/task_group.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

Task<void> bulk_step(std::atomic<int>& ran) {
    auto work = [&ran]() -> Result<void> {
        ++ran;
        return ok;
    };
    co_return co_await offload_bulk(work);
}

}  // namespace

TEST_CASE("bulk work begins when the last hold has gone", "[foreground]") {
    Loop loop;
    Foreground foreground;
    const auto body = [&]() -> Task<void> {
        std::atomic<int> ran = 0;
        CO_CHECK(co_await bulk_step(ran));  // The threads are there.
        auto first = std::make_unique<Foreground::Hold>(foreground);
        auto second = std::make_unique<Foreground::Hold>(foreground);
        TaskGroup group;
        group.spawn(bulk_step(ran));
        CHECK(foreground.pausing());
        first.reset();
        CHECK(foreground.pausing());
        second.reset();
        CHECK(!foreground.pausing());
        CO_CHECK(co_await group.join());
        CHECK(ran == 2);
        co_return ok;
    };
    CHECK(loop.run(body()));
}

TEST_CASE("one hold, however long, stops no bulk work for good", "[foreground]") {
    Loop loop;
    Foreground foreground;
    const auto body = [&]() -> Task<void> {
        std::atomic<int> ran = 0;
        CO_CHECK(co_await bulk_step(ran));
        const Foreground::Hold hold(foreground);
        constexpr int steps = 300;  // They go on after every pause, and in the end there is none.
        for (int i = 0; i < steps; ++i) {
            CO_CHECK(co_await bulk_step(ran));
        }
        CHECK(ran == steps + 1);
        co_return ok;
    };
    CHECK(loop.run(body()));
}

TEST_CASE("who waits for bulk work himself is not in its way", "[foreground]") {
    Loop loop;
    Foreground foreground;
    const auto body = [&]() -> Task<void> {
        std::atomic<int> ran = 0;
        Loop::current().bulk();
        const Foreground::Hold hold(foreground);
        CHECK(foreground.pausing());
        {
            const Foreground::Pass pass(foreground);
            CHECK(!foreground.pausing());
            const Foreground::Hold another(foreground);
            CHECK(!foreground.pausing());
            CO_CHECK(co_await bulk_step(ran));
        }
        CHECK(ran == 1);
        co_return ok;
    };
    CHECK(loop.run(body()));
}

TEST_CASE("holds without bulk threads do nothing", "[foreground]") {
    Loop loop;
    Foreground foreground;
    const auto body = [&]() -> Task<void> {
        {
            const Foreground::Hold hold(foreground);
            CHECK(!foreground.pausing());
        }
        CHECK(Loop::current().bulk_if_made() == nullptr);
        co_return ok;
    };
    CHECK(loop.run(body()));
}

}  // namespace davit
