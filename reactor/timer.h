#pragma once
/// Timers: sleep_for for pacing (never for polling), with_timeout for bounds.
#include "reactor/waiter.h"

namespace davit {

/// Await a point in time. Gives an error of kind cancelled when the scope is cancelled first.
/// Resolution: 1 ms, never early.
class SleepAwaiter final : Waiter {
  public:
    explicit SleepAwaiter(MonotonicTime deadline) : deadline_(deadline) {}

    bool await_ready() const noexcept { return false; }

    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) {
        if (!wait_begin(handle)) {
            return false;
        }
        timer_.arm(
            deadline_,
            [](void* self) noexcept { static_cast<SleepAwaiter*>(self)->complete(); },
            this);
        return true;
    }

    Result<void> await_resume() const {
        if (cancelled()) {
            return cancelled_error();
        }
        return ok;
    }

  private:
    void on_cancel() noexcept override {
        timer_.disarm();
        complete();
    }

    MonotonicTime deadline_;
    TimerNode timer_;
};

inline SleepAwaiter sleep_until(MonotonicTime deadline) {
    return SleepAwaiter(deadline);
}

inline SleepAwaiter sleep_for(Nanoseconds duration) {
    return SleepAwaiter(monotonic_now() + duration);
}

/// Let everything else run first: what is ready, and what the descriptors have become ready for.
/// Whoever may always have more to do says it every millisecond.
struct YieldAwaiter {
    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> handle) { Loop::current().post_next_turn(handle); }

    void await_resume() const noexcept {}
};

inline YieldAwaiter yield_now() {
    return {};
}

/// Run a task for at most so long; then it is cancelled, waited for, and the error is timed_out.
template <typename T>
Task<T> with_timeout(Nanoseconds duration, Task<T> task) {
    CancelScope scope(co_await current_scope());

    struct Expiry {
        CancelScope& scope;
        bool expired = false;
    } expiry{scope};

    TimerNode timer;
    timer.arm(
        monotonic_now() + duration,
        [](void* context) noexcept {
            auto* end = static_cast<Expiry*>(context);
            end->expired = true;
            end->scope.cancel();
        },
        &expiry);
    Result<T> result = co_await std::move(task).under(&scope);
    timer.disarm();
    if (!result && expiry.expired && result.error().kind() == ErrorKind::cancelled) {
        co_return Error(ErrorKind::timed_out, "timed out");
    }
    co_return std::move(result);
}

}  // namespace davit
