#pragma once
/// Cancelling a task at a chosen moment: before it waits, while it waits, when what it waits for
/// has happened but was not looked at yet, and when the loop has queued it but not resumed it.
#include <functional>
#include <memory>
#include <utility>

#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit::test {

enum class CancelMoment { before, waiting, unseen, same_turn };

constexpr CancelMoment cancel_moments[] = {
    CancelMoment::before, CancelMoment::waiting, CancelMoment::unseen, CancelMoment::same_turn};

const char* moment_name(CancelMoment moment);

/// Let libuv open what it opens once per process; before the first descriptors_open().
void loop_warm_up();

/// Descriptors of this process.
std::size_t descriptors_open();

/// Calls a function once, in the count-th turn from now on: after libuv's callbacks have run, and
/// before the loop resumes what they queued.
class TurnHook {
  public:
    TurnHook(int count, std::function<void()> function);
    ~TurnHook();
    TurnHook(const TurnHook&) = delete;
    TurnHook& operator=(const TurnHook&) = delete;

    bool called() const;

  private:
    struct State;
    State* state_;
};

/// A task under a scope of its own, as a member of a group.
template <typename T>
class Cancellable {
  public:
    void start(Task<T> task) { group_.spawn(run(std::move(task), scope_, result_)); }

    void cancel() { scope_.cancel(); }

    bool ended() const { return result_.has_value(); }

    Task<T> join() {
        CO_CHECK(co_await group_.join());
        co_return std::move(*result_);
    }

  private:
    static Task<void> run(Task<T> task, CancelScope& scope, std::optional<Result<T>>& result) {
        result.emplace(co_await std::move(task).under(&scope));
        co_return ok;
    }

    CancelScope scope_;
    std::optional<Result<T>> result_;
    TaskGroup group_;
};

/// Run task to its end, cancelled at that moment. happen (started only for the last two moments)
/// makes happen what task waits for, without giving the loop a turn. settle: let the task reach its
/// wait first; not where it waits for something that comes by itself.
template <typename T>
Task<T> cancel_at(CancelMoment moment, Task<T> task, Task<void> happen, bool settle = true) {
    Cancellable<T> tested;
    if (moment == CancelMoment::before) {
        tested.cancel();
    }
    tested.start(std::move(task));
    if (settle) {
        co_await yield_now();
        co_await yield_now();
    }
    if (moment == CancelMoment::unseen || moment == CancelMoment::same_turn) {
        CO_CHECK(co_await std::move(happen));
    }
    if (moment != CancelMoment::same_turn) {
        tested.cancel();
        co_return co_await tested.join();
    }
    bool early = false;
    const TurnHook hook(1, [&] {
        early = !tested.ended();
        tested.cancel();
    });
    Result<T> result = co_await tested.join();
    if (!early) {
        co_return Error(ErrorKind::internal, "it was resumed before it could be cancelled");
    }
    co_return std::move(result);
}

/// Run task to its end, cancelled in the count-th turn if it lasts so long; missed says it did not.
template <typename T>
Task<T> cancel_in_turn(int count, Task<T> task, bool& missed) {
    Cancellable<T> tested;
    const TurnHook hook(count, [&] { tested.cancel(); });
    tested.start(std::move(task));
    Result<T> result = co_await tested.join();
    missed = !hook.called();
    co_return std::move(result);
}

}  // namespace davit::test
