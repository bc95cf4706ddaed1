#pragma once
/// Loop: the one libuv loop. Nothing outside reactor/ touches libuv.
///
/// One Loop per process at a time, on the thread that made it; Loop::current() is how leaf awaiters
/// find it. libuv callbacks store a result and post() the waiting coroutine; the loop resumes
/// posted coroutines right before and right after it polls, at most limits::resumes_per_turn_max
/// per turn, so the stack stays flat and no chain of wake-ups starves the descriptors.
#include <coroutine>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/stall_detector.h"
#include "reactor/task.h"

struct uv_loop_s;
struct uv_prepare_s;
struct uv_check_s;
struct uv_idle_s;
struct uv_timer_s;

namespace davit {

class Loop;
class Ring;
class WorkPool;

/// A callback at a point in monotonic time. Disarms itself when destroyed. Fires at most once per
/// arm.
class TimerNode {
  public:
    using Callback = void (*)(void* context) noexcept;

    TimerNode() = default;
    TimerNode(const TimerNode&) = delete;
    TimerNode& operator=(const TimerNode&) = delete;

    ~TimerNode() { disarm(); }

    void arm(MonotonicTime deadline, Callback callback, void* context);
    void disarm();

    bool armed() const { return loop_ != nullptr; }

  private:
    friend class Loop;

    Loop* loop_ = nullptr;
    std::multimap<MonotonicTime, TimerNode*>::iterator place_;
    Callback callback_ = nullptr;
    void* context_ = nullptr;
};

class Loop {
  public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// The loop of this process; asserts that there is one.
    static Loop& current();

    /// Run a task to its end, and everything it starts. Blocks: until then.
    template <typename T>
    Result<T> run(Task<T> task) {
        std::optional<Result<T>> result;
        run_root(root(std::move(task), result));
        return std::move(*result);
    }

    /// Queue a suspended coroutine; it is resumed from the loop, in order.
    void post(std::coroutine_handle<> handle) { ready_.push_back(handle); }

    /// Queue a suspended coroutine for after the next look at the descriptors.
    void post_next_turn(std::coroutine_handle<> handle) { next_turn_.push_back(handle); }

    /// The io_uring, made on first use. Errors: unsupported where the kernel refuses one.
    Result<Ring*> ring();

    /// The threads behind offload() and offload_bulk(), made on first use.
    WorkPool& brief();
    WorkPool& bulk();

    /// nullptr: nobody has used it yet.
    WorkPool* bulk_if_made() { return bulk_.get(); }

    StallDetector& stalls() { return stalls_; }

    uv_loop_s* uv() { return uv_; }

  private:
    friend class TimerNode;

    template <typename T>
    static Task<void> root(Task<T> task, std::optional<Result<T>>& result) {
        result.emplace(co_await std::move(task));
        co_return ok;
    }

    void run_root(Task<void> task);
    void drain();
    void timers_arm();
    void timers_fire();

    static void on_prepare(uv_prepare_s* handle);
    static void on_check(uv_check_s* handle);
    static void on_timer(uv_timer_s* handle);

    uv_loop_s* uv_;
    uv_prepare_s* prepare_;
    uv_check_s* check_;
    uv_idle_s* idle_;
    uv_timer_s* timer_;
    std::vector<std::coroutine_handle<>> ready_;
    std::vector<std::coroutine_handle<>> running_;
    std::vector<std::coroutine_handle<>> next_turn_;
    std::multimap<MonotonicTime, TimerNode*> timers_;
    std::unique_ptr<Ring> ring_;
    std::unique_ptr<WorkPool> brief_;
    std::unique_ptr<WorkPool> bulk_;
    StallDetector stalls_;
    MonotonicTime turn_begun_{};
    Nanoseconds idle_before_{};
};

}  // namespace davit
