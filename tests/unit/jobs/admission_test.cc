/// Goal: so many starts at once as help, each client as many as another, and none waits for one
/// that waits for something else. Method: turns that the test holds and gives back.
#include "jobs/admission.h"

#include <vector>

#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"

namespace davit {

namespace {

constexpr std::size_t processors = 1;

/// Who got a turn, in order; each is held until somebody gives it back.
struct Starts {
    Admission admission{processors};
    std::vector<std::uint64_t> begun;
    std::vector<Admission::Turn> held;
    TaskGroup group{GroupPolicy::independent};

    Task<void> start(std::uint64_t lane) {
        CO_TRY(Admission::Turn turn, co_await admission.enter(lane));
        begun.push_back(lane);
        held.push_back(std::move(turn));
        co_return ok;
    }

    Task<void> give_back() {
        held.erase(held.begin());
        co_return co_await settle();
    }

    static Task<void> settle() {
        for (int turn = 0; turn < 3; ++turn) {
            co_await yield_now();
        }
        co_return ok;
    }
};

}  // namespace

TEST_CASE("starts beyond the limit wait, and go on in the order in which they came") {
    Loop loop;
    Starts starts;
    const auto body = [&]() -> Task<void> {
        const std::size_t limit = starts.admission.limit();
        CHECK(limit == 4);
        for (std::uint64_t i = 0; i < limit; ++i) {
            CHECK(!starts.admission.is_full());
            starts.group.spawn(starts.start(7));
        }
        CHECK(starts.admission.is_full());
        starts.group.spawn(starts.start(8));
        starts.group.spawn(starts.start(9));
        CO_CHECK(co_await Starts::settle());
        CHECK(starts.begun == std::vector<std::uint64_t>{7, 7, 7, 7});
        CO_CHECK(co_await starts.give_back());
        CHECK(starts.begun.back() == 8);
        CHECK(starts.held.size() == 4);
        CO_CHECK(co_await starts.give_back());
        CHECK(starts.begun.back() == 9);
        starts.held.clear();
        CHECK(!starts.admission.is_full());
        co_return co_await starts.group.join();
    };
    CHECK(loop.run(body()));
}

TEST_CASE("one client's many starts do not keep another's waiting for all of them") {
    Loop loop;
    Starts starts;
    const auto body = [&]() -> Task<void> {
        for (int i = 0; i < 20; ++i) {
            starts.group.spawn(starts.start(1));
        }
        starts.group.spawn(starts.start(2));
        starts.group.spawn(starts.start(2));
        while (!starts.held.empty()) {
            CO_CHECK(co_await starts.give_back());
        }
        CHECK(starts.begun.size() == 22);
        const std::vector<std::uint64_t> first(starts.begun.begin(), starts.begun.begin() + 9);
        CHECK(first == std::vector<std::uint64_t>{1, 1, 1, 1, 1, 2, 1, 2, 1});
        co_return co_await starts.group.join();
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a start that is cancelled leaves the queue, and takes nothing with it") {
    Loop loop;
    Starts starts;
    const auto body = [&]() -> Task<void> {
        for (int i = 0; i < 4; ++i) {
            starts.group.spawn(starts.start(1));
        }
        TaskGroup impatient(GroupPolicy::independent);
        impatient.spawn(starts.start(2));
        impatient.spawn(starts.start(2));
        starts.group.spawn(starts.start(3));
        impatient.cancel();
        static_cast<void>(co_await impatient.join());
        CO_CHECK(co_await starts.give_back());
        CHECK(starts.begun == std::vector<std::uint64_t>{1, 1, 1, 1, 3});
        while (!starts.held.empty()) {
            CO_CHECK(co_await starts.give_back());
        }
        CHECK(!starts.admission.is_full());
        co_return co_await starts.group.join();
    };
    CHECK(loop.run(body()));
}

TEST_CASE("a start that takes long keeps nobody") {
    Loop loop;
    Starts starts;
    const auto body = [&]() -> Task<void> {
        TaskGroup watch(GroupPolicy::independent);
        watch.spawn(starts.admission.run());
        for (int i = 0; i < 9; ++i) {
            starts.group.spawn(starts.start(1));
        }
        CHECK(starts.begun.size() == 4);
        // None of these is ever given back.
        static_cast<void>(co_await starts.group.join());
        CHECK(starts.begun.size() == 9);
        starts.held.clear();
        CHECK(!starts.admission.is_full());
        watch.cancel();
        static_cast<void>(co_await watch.join());
        co_return ok;
    };
    CHECK(loop.run(body()));
}

TEST_CASE(
    "there are more turns while starts at once cost each other nothing, and less when they do") {
    Loop loop;
    Starts starts;
    const auto body = [&]() -> Task<void> {
        const std::size_t limit = starts.admission.limit();
        const auto run = [&](Nanoseconds took) -> Task<void> {
            for (int i = 0; i < 100; ++i) {
                starts.group.spawn(starts.start(1));
            }
            while (!starts.held.empty()) {
                CO_CHECK(co_await sleep_for(took));
                std::vector<Admission::Turn> done = std::move(starts.held);
                starts.held.clear();
                for (Admission::Turn& turn : done) {
                    turn.succeeded();
                }
                done.clear();
                CO_CHECK(co_await Starts::settle());
            }
            co_return ok;
        };
        CO_CHECK(co_await run(std::chrono::milliseconds(2)));
        const std::size_t more = starts.admission.limit();
        CHECK(more > limit);
        for (int i = 0; i < 5; ++i) {
            CO_CHECK(co_await run(std::chrono::milliseconds(40)));
        }
        CHECK(starts.admission.limit() < more);
        CHECK(starts.admission.limit() >= 2);
        co_return co_await starts.group.join();
    };
    CHECK(loop.run(body()));
}

}  // namespace davit
