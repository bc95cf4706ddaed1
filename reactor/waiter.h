#pragma once
/// Waiter: the base of leaf awaiters, those that wait for the loop rather than for another task.
///
/// A leaf resumes exactly once. complete() queues the coroutine; a cancellation that arrives first
/// calls on_cancel(), which must see to it that complete() follows (at once, or when the kernel has
/// let go of the leaf's memory).
#include <coroutine>

#include "reactor/loop.h"

namespace davit {

class Waiter {
  public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

  protected:
    ~Waiter() = default;

    /// Remember who waits, and subscribe to its scope. False if it is cancelled already: do not
    /// wait.
    template <typename Promise>
    bool wait_begin(std::coroutine_handle<Promise> handle) {
        CancelScope* scope = handle.promise().scope();
        if (scope != nullptr && scope->cancelled()) {
            cancelled_ = true;
            return false;
        }
        handle_ = handle;
        subscription_.arm(
            scope,
            [](void* self) noexcept {
                auto* waiter = static_cast<Waiter*>(self);
                waiter->cancelled_ = true;
                waiter->on_cancel();
            },
            this);
        return true;
    }

    /// The wait is over: queue the coroutine. Called once per successful wait_begin().
    void complete() noexcept {
        subscription_.disarm();
        Loop::current().post(handle_);
    }

    /// The wait turned out unnecessary, before it suspended.
    void wait_abandon() noexcept { subscription_.disarm(); }

    virtual void on_cancel() noexcept = 0;

    bool cancelled() const { return cancelled_; }

  private:
    std::coroutine_handle<> handle_;
    CancelSubscription subscription_;
    bool cancelled_ = false;
};

}  // namespace davit
