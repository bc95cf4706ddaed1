#pragma once
/// AsyncEvent: a flag that coroutines wait for; AsyncMutex and Semaphore: turns in order of
/// arrival.
#include <deque>

#include "reactor/waiter.h"

namespace davit {

/// A list of suspended waiters, first come first served. Waiters take themselves out when
/// cancelled.
class WaitList {
  public:
    class Awaiter final : Waiter {
      public:
        explicit Awaiter(WaitList& list) : list_(list) {}

        bool await_ready() const noexcept { return false; }

        template <typename Promise>
        bool await_suspend(std::coroutine_handle<Promise> handle) {
            if (!wait_begin(handle)) {
                return false;
            }
            list_.waiters_.push_back(this);
            return true;
        }

        Result<void> await_resume() const {
            if (cancelled()) {
                return cancelled_error();
            }
            return ok;
        }

      private:
        friend class WaitList;

        void on_cancel() noexcept override {
            std::erase(list_.waiters_, this);
            complete();
        }

        WaitList& list_;
    };

    WaitList() = default;
    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    ~WaitList() { assert(waiters_.empty() && "a waiter outlives what it waits for"); }

    /// Await the next wake-up.
    Awaiter wait() { return Awaiter(*this); }

    /// Wake the longest waiting one. False if nobody waits.
    bool wake_one() {
        if (waiters_.empty()) {
            return false;
        }
        Awaiter* first = waiters_.front();
        waiters_.pop_front();
        first->complete();
        return true;
    }

    void wake_all() {
        while (wake_one()) {
        }
    }

    bool empty() const { return waiters_.empty(); }

  private:
    std::deque<Awaiter*> waiters_;
};

class AsyncEvent {
  public:
    void set() {
        set_ = true;
        waiters_.wake_all();
    }

    void reset() { set_ = false; }

    bool is_set() const { return set_; }

    /// Return at once if set, else when it is next set. Errors: cancelled.
    Task<void> wait() {
        if (!set_) {
            co_return co_await waiters_.wait();
        }
        co_return ok;
    }

  private:
    bool set_ = false;
    WaitList waiters_;
};

/// A counted resource handed out in order of arrival; a Permit gives its share back when it dies.
class Semaphore {
  public:
    explicit Semaphore(std::size_t count) : free_(count) {}

    class [[nodiscard]] Permit {
      public:
        Permit() = default;

        explicit Permit(Semaphore* semaphore) : semaphore_(semaphore) {}

        Permit(Permit&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}

        Permit& operator=(Permit&& other) noexcept {
            if (this != &other) {
                reset();
                semaphore_ = std::exchange(other.semaphore_, nullptr);
            }
            return *this;
        }

        Permit(const Permit&) = delete;
        Permit& operator=(const Permit&) = delete;

        ~Permit() { reset(); }

        void reset() {
            if (semaphore_ != nullptr) {
                std::exchange(semaphore_, nullptr)->give_back();
            }
        }

      private:
        Semaphore* semaphore_ = nullptr;
    };

    /// Errors: cancelled.
    Task<Permit> acquire() {
        if (free_ > 0 && waiters_.empty()) {
            --free_;
            co_return Permit(this);
        }
        // give_back() hands its share to the woken waiter directly: free_ stays as it is.
        Result<void> woken = co_await waiters_.wait();
        if (!woken) {
            co_return std::move(woken).error();
        }
        co_return Permit(this);
    }

    std::size_t free() const { return free_; }

  private:
    void give_back() {
        if (!waiters_.wake_one()) {
            ++free_;
        }
    }

    std::size_t free_;
    WaitList waiters_;
};

/// One holder at a time, in order of arrival.
class AsyncMutex {
  public:
    /// Errors: cancelled. Held until the permit dies.
    Task<Semaphore::Permit> lock() { return semaphore_.acquire(); }

  private:
    Semaphore semaphore_{1};
};

}  // namespace davit
