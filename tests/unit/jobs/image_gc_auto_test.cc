// Goal: images are collected after every change and now and then, and never twice at a time.
// Method: a collection that waits for the test; the timer is either far away or a millisecond.
#include "jobs/image_gc_auto.h"

#include "reactor/channel.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::chrono::hours never{1000};

/// A collection that tells when it begins, and ends when it is told to.
struct Probe {
    AsyncEvent changed;
    int runs = 0;
    int running = 0;
    Channel<int> begun{16};
    Channel<int> may_end{16};

    Task<void> collect() {
        CHECK(++running == 1);
        CO_CHECK(co_await begun.send(++runs));
        CO_TRY(const std::optional<int> told, co_await may_end.receive());
        --running;
        if (*told < 0) {
            co_return Error(ErrorKind::internal, "told to fail");
        }
        co_return ok;
    }

    /// Wait for a collection to begin. Gives: which one it is.
    Task<int> next() {
        CO_TRY(const std::optional<int> run, co_await begun.receive());
        co_return *run;
    }
};

/// Run steps beside gc_run(), which is cancelled afterwards.
void beside(Probe& probe, Nanoseconds interval, Task<void> (*steps)(Probe&)) {
    Loop loop;
    auto all = [](Probe& there, Nanoseconds pause, Task<void> (*work)(Probe&)) -> Task<void> {
        TaskGroup group(GroupPolicy::independent);
        group.spawn(gc_run(there.changed, pause, [&there] { return there.collect(); }));
        Result<void> done = co_await work(there);
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return std::move(done);
    };
    const Result<void> done = loop.run(all(probe, interval, steps));
    INFO((done ? "" : done.error().message()));
    CHECK(done);
}

/// Give everything that is ready the chance to run.
Task<void> settle() {
    for (int turn = 0; turn < 100; ++turn) {
        co_await yield_now();
    }
    co_return ok;
}

}  // namespace

TEST_CASE("gc: at once, and after each change; what changes meanwhile makes one more",
          "[image_gc]") {
    Probe probe;
    beside(probe, never, [](Probe& there) -> Task<void> {
        CO_TRY(int run, co_await there.next());
        CHECK(run == 1);
        there.changed.set();
        there.changed.set();
        CO_CHECK(co_await settle());
        CHECK(there.runs == 1);
        CHECK(there.may_end.try_send(1));
        CO_TRY(run, co_await there.next());
        CHECK(run == 2);
        CHECK(there.may_end.try_send(1));
        CO_CHECK(co_await settle());
        CHECK(there.runs == 2);  // Nothing has changed since it began.
        there.changed.set();
        CO_TRY(run, co_await there.next());
        CHECK(run == 3);
        co_return ok;  // Cancelled while it collects.
    });
    CHECK(probe.runs == 3);
}

TEST_CASE("gc: now and then without any change", "[image_gc]") {
    Probe probe;
    beside(probe, std::chrono::milliseconds(1), [](Probe& there) -> Task<void> {
        for (int wanted = 1; wanted <= 4; ++wanted) {
            CO_TRY(const int run, co_await there.next());
            CHECK(run == wanted);
            CHECK(there.may_end.try_send(1));
        }
        co_return ok;
    });
}

TEST_CASE("gc: a collection that must not go on ends it", "[image_gc]") {
    Loop loop;
    Probe probe;
    CHECK(probe.may_end.try_send(-1));
    const Result<void> ended =
        loop.run(gc_run(probe.changed, never, [&probe] { return probe.collect(); }));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().message() == "told to fail");
}
