// Goal: what coroutines hand to each other (events, locks, channels, groups) and what a worker
// thread hands back survive a cancellation at every moment. Method: as cancel_test.cc; here the
// completion is queued by another coroutine, so "unseen" is the turn in which it arrives.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>

#include "reactor/base/fd.h"
#include "reactor/channel.h"
#include "reactor/offload.h"
#include "tests/support/cancel.h"
#include "tests/support/catch.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

constexpr CancelMoment moments[] = {
    CancelMoment::before, CancelMoment::waiting, CancelMoment::unseen};

void at_every_moment(Task<void> (*body)(CancelMoment)) {
    for (const CancelMoment moment : moments) {
        INFO(moment_name(moment));
        Loop loop;
        const Result<void> done = loop.run(body(moment));
        INFO((done ? "" : done.error().message()));
        CHECK(done);
    }
}

template <typename T>
bool was_cancelled(const Result<T>& result) {
    return !result && result.error().kind() == ErrorKind::cancelled;
}

/// Whoever was woken before the cancellation has what it was woken for.
template <typename T>
void check_outcome(CancelMoment moment, const Result<T>& result) {
    CHECK(was_cancelled(result) == (moment != CancelMoment::unseen));
    CHECK((result || was_cancelled(result)));
}

Task<void> set(AsyncEvent& event) {
    event.set();
    co_return ok;
}

Task<void> give_back(Semaphore::Permit& permit) {
    permit.reset();
    co_return ok;
}

}  // namespace

TEST_CASE("cancel: events", "[cancel][event]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        AsyncEvent event;
        check_outcome(moment, co_await cancel_at(moment, event.wait(), set(event)));
        event.set();
        co_return co_await event.wait();
    });
}

TEST_CASE("cancel: a mutex is never left locked", "[cancel][mutex]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        AsyncMutex mutex;
        CO_TRY(auto held, co_await mutex.lock());
        {
            const auto taken = co_await cancel_at(moment, mutex.lock(), give_back(held));
            check_outcome(moment, taken);
        }
        held.reset();
        CO_TRY(const auto again, co_await with_timeout(10s, mutex.lock()));
        co_return ok;
    });
}

TEST_CASE("cancel: a semaphore loses no share, and its queue moves on", "[cancel][mutex]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        Semaphore semaphore(1);
        CO_TRY(auto held, co_await semaphore.acquire());
        {
            auto hold = [](Semaphore& from) -> Task<void> {
                CO_TRY(const auto permit, co_await from.acquire());
                co_return ok;
            };
            TaskGroup behind;
            const auto taken = co_await cancel_at(moment, semaphore.acquire(), give_back(held));
            check_outcome(moment, taken);
            behind.spawn(hold(semaphore));
            held.reset();
            if (moment == CancelMoment::unseen) {
                CHECK(behind.running() == 1);
                behind.cancel();
            }
            CO_CHECK(co_await behind.join());
        }
        CHECK(semaphore.free() == 1);
        co_return ok;
    });
}

TEST_CASE("cancel: a channel loses no value and doubles none", "[cancel][channel]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        Channel<int> channel(1);
        auto put = [](Channel<int>& to) -> Task<void> { co_return co_await to.send(7); };
        const auto got = co_await cancel_at(moment, channel.receive(), put(channel));
        check_outcome(moment, got);
        CHECK(channel.size() == 0);
        CO_CHECK(co_await channel.send(1));
        auto take = [](Channel<int>& from) -> Task<void> {
            CO_TRY(const std::optional<int> value, co_await from.receive());
            CHECK(value == 1);
            co_return ok;
        };
        const auto sent = co_await cancel_at(moment, channel.send(2), take(channel));
        check_outcome(moment, sent);
        CHECK(channel.size() == 1);
        CO_TRY(const std::optional<int> left, co_await channel.receive());
        CHECK(left == (moment == CancelMoment::unseen ? 2 : 1));
        co_return ok;
    });
}

TEST_CASE("cancel: a group is joined whatever becomes of its joiner", "[cancel][group]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        AsyncEvent event;
        auto join_one = [](AsyncEvent& waited_for, std::size_t& left) -> Task<void> {
            auto member = [](AsyncEvent& until, std::size_t& count) -> Task<void> {
                Result<void> woken = co_await until.wait();
                co_await yield_now();  // Clean-up takes a while.
                --count;
                co_return woken;
            };
            TaskGroup group;
            group.spawn(member(waited_for, left));
            group.spawn(member(waited_for, left));
            co_return co_await group.join();
        };
        std::size_t left = 2;
        const auto joined = co_await cancel_at(moment, join_one(event, left), set(event));
        // Its members were woken, but it was not: it still waited for their end.
        CHECK(was_cancelled(joined));
        CHECK(left == 0);
        co_return ok;
    });
}

namespace {

/// A value that is known to be gone.
using Token = std::shared_ptr<int>;

Task<Token> token_after(AsyncEvent& event, Token token) {
    CO_CHECK(co_await event.wait());
    co_return std::move(token);
}

Task<void> set_both(AsyncEvent& first, AsyncEvent& second) {
    first.set();
    second.set();
    co_return ok;
}

}  // namespace

TEST_CASE("cancel: when_both ends both, and keeps neither's value", "[cancel][group]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        AsyncEvent first;
        AsyncEvent second;
        const Token token = std::make_shared<int>(1);
        {
            const auto both =
                co_await cancel_at(moment,
                                   when_both(token_after(first, token), token_after(second, token)),
                                   set_both(first, second));
            CHECK(was_cancelled(both));
        }
        CHECK(token.use_count() == 1);
        {
            // One has its value when the other is cancelled.
            const auto half =
                co_await cancel_at(moment,
                                   when_both(token_after(first, token), token_after(second, token)),
                                   set(first));
            CHECK((half || was_cancelled(half)));
        }
        CHECK(token.use_count() == 1);
        co_return ok;
    });
}

TEST_CASE("when_both passes on a cancellation that one of the two met by itself", "[group]") {
    auto body = []() -> Task<void> {
        auto cancelled = []() -> Task<int> { co_return cancelled_error(); };
        auto works = []() -> Task<int> {
            co_await yield_now();
            co_return 1;
        };
        const auto first = co_await when_both(cancelled(), works());
        CHECK(was_cancelled(first));
        const auto second = co_await when_both(works(), cancelled());
        CHECK(was_cancelled(second));
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("cancel: with_timeout passes a cancellation on as such", "[cancel][timer]") {
    at_every_moment([](CancelMoment moment) -> Task<void> {
        AsyncEvent event;
        check_outcome(moment,
                      co_await cancel_at(moment, with_timeout(1h, event.wait()), set(event)));
        co_return ok;
    });
}

namespace {

/// Work that waits until it is let go, on its worker thread.
struct Gate {
    Fd fd{::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)};
    std::atomic<int> entered = 0;

    void wait() {
        ++entered;
        std::uint64_t value = 0;
        const bool woken = ::read(fd.get(), &value, sizeof(value)) == sizeof(value);
        assert(woken);  // Not CHECK: Catch2 belongs to the loop's thread.
        static_cast<void>(woken);
    }

    void open() const {
        const std::uint64_t one = 1;
        CHECK(::write(fd.get(), &one, sizeof(one)) == sizeof(one));
    }
};

using Pool = WorkPool& (Loop::*)();

Task<Token> token_from_worker(Gate& gate, Token token, Pool pool) {
    auto work = [&gate, token = std::move(token)]() mutable -> Result<Token> {
        gate.wait();
        return std::move(token);
    };
    OffloadAwaiter offloaded(std::move(work), (Loop::current().*pool)());
    co_return co_await offloaded;
}

Task<void> open_gate(Gate& gate) {
    gate.open();
    co_return ok;
}

/// Until so many workers are inside.
Task<void> until_entered(const Gate& gate, int count) {
    while (gate.entered < count) {
        co_await yield_now();
    }
    co_return ok;
}

constexpr auto pools = {&Loop::brief, &Loop::bulk};

}  // namespace

TEST_CASE("cancel: work that was never queued is not done", "[cancel][offload]") {
    auto body = [](Pool pool) -> Task<void> {
        Gate gate;
        const Token token = std::make_shared<int>(1);
        Cancellable<Token> tested;
        tested.cancel();
        tested.start(token_from_worker(gate, token, pool));
        const auto result = co_await tested.join();
        CHECK(was_cancelled(result));
        CHECK(gate.entered == 0);
        CHECK(token.use_count() == 1);
        co_return ok;
    };
    for (const Pool pool : pools) {
        Loop loop;
        CHECK(loop.run(body(pool)));
    }
}

TEST_CASE("cancel: work that runs is waited for, and its value given", "[cancel][offload]") {
    auto body = [](Pool pool, int turn) -> Task<void> {
        Gate gate;
        const Token token = std::make_shared<int>(1);
        {
            Cancellable<Token> tested;
            tested.start(token_from_worker(gate, token, pool));
            CO_CHECK(co_await until_entered(gate, 1));
            // While it runs; and in the turn in which the worker's end arrives.
            std::optional<TurnHook> hook;
            if (turn == 0) {
                tested.cancel();
                CHECK(!tested.ended());
            } else {
                hook.emplace(turn, [&] {
                    CHECK(!tested.ended());
                    tested.cancel();
                });
            }
            CO_CHECK(co_await open_gate(gate));
            CO_TRY(const Token value, co_await tested.join());
            CHECK(value == token);
        }
        CHECK(token.use_count() == 1);
        co_return ok;
    };
    for (const Pool pool : pools) {
        for (const int turn : {0, 1}) {
            Loop loop;
            CHECK(loop.run(body(pool, turn)));
        }
    }
}

TEST_CASE("cancel: work that still queues is taken back", "[cancel][offload]") {
    auto body = [](Pool pool) -> Task<void> {
        constexpr int workers = 64;  // More than the pool may have; those that fit are enough.
        Gate gate;
        Gate queued_gate;
        const Token token = std::make_shared<int>(1);
        TaskGroup busy;
        auto occupy = [](Gate& at, Pool on) -> Task<void> {
            CO_TRY(const Token none, co_await token_from_worker(at, nullptr, on));
            co_return ok;
        };
        for (int i = 0; i < workers; ++i) {
            busy.spawn(occupy(gate, pool));
        }
        CO_CHECK(co_await until_entered(gate, 1));
        {
            Cancellable<Token> tested;
            tested.start(token_from_worker(queued_gate, token, pool));
            tested.cancel();
            const auto result = co_await tested.join();
            CHECK(was_cancelled(result));
        }
        CHECK(queued_gate.entered == 0);
        CHECK(token.use_count() == 1);
        for (int i = 0; i < workers; ++i) {
            gate.open();
            CO_CHECK(co_await until_entered(gate, std::min(i + 2, workers)));
        }
        co_return co_await busy.join();
    };
    for (const Pool pool : pools) {
        Loop loop;
        CHECK(loop.run(body(pool)));
    }
}
