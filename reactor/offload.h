#pragma once
/// offload(), offload_bulk(): the only doors to a worker thread. Value in, value out: the function
/// must not touch a davit object that the loop can reach meanwhile. For CPU work and for calls that
/// block: offload() for what a client waits for in milliseconds, offload_bulk() for the steps of
/// work that moves much data or waits for the disk (reactor/work_pool.h).
#include "reactor/waiter.h"
#include "reactor/work_pool.h"

namespace davit {

class OffloadAwaiterBase : protected Waiter {
  protected:
    explicit OffloadAwaiterBase(WorkPool& pool) : pool_(pool) {}

    ~OffloadAwaiterBase() = default;

    /// Queue work(); resumes after it has returned, or after it was taken off the queue unstarted.
    void start();

    virtual void work() noexcept = 0;

  private:
    /// A function that runs is waited for: its memory is ours. One that still queues is taken back.
    void on_cancel() noexcept override;

    WorkPool& pool_;
    PoolWork work_;
};

template <typename Function>
class OffloadAwaiter final : OffloadAwaiterBase {
  public:
    using Value = decltype(std::declval<Function&>()());

    OffloadAwaiter(Function function, WorkPool& pool)
        : OffloadAwaiterBase(pool), function_(std::move(function)) {}

    bool await_ready() const noexcept { return false; }

    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) {
        if (!wait_begin(handle)) {
            return false;
        }
        start();
        return true;
    }

    Value await_resume() {
        if (!value_) {
            return cancelled_error();
        }
        return std::move(*value_);
    }

  private:
    void work() noexcept override { value_.emplace(function_()); }

    Function function_;
    std::optional<Value> value_;
};

/// Run function (returning Result<T>) on the worker pool and await its result.
/// Errors: the function's; cancelled only if it had not started (a started one is waited for).
/// g++ 12: name the function object above the co_await and move it in if it captures non-trivially.
template <typename Function>
OffloadAwaiter<Function> offload(Function function) {
    return OffloadAwaiter<Function>(std::move(function), Loop::current().brief());
}

/// The same on the threads for bulk work. Steps should be short enough that others get their turn:
/// there are limits::bulk_threads of these threads.
template <typename Function>
OffloadAwaiter<Function> offload_bulk(Function function) {
    return OffloadAwaiter<Function>(std::move(function), Loop::current().bulk());
}

}  // namespace davit
