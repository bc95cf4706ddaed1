#include "reactor/task_group.h"

namespace davit {

void TaskGroup::spawn(Task<void> task) {
    ++running_;
    drive(std::move(task));
}

TaskGroup::Driver TaskGroup::drive(Task<void> task) {
    Result<void> result = co_await std::move(task).under(&scope_);
    {
        // The task's frame (and what it holds) goes before the joiner hears of its end.
        const Task<void> ended = std::move(task);
    }
    if (!result && result.error().kind() != ErrorKind::cancelled) {
        if (!first_error_) {
            first_error_ = std::move(result).error();
        }
        if (policy_ == GroupPolicy::cancel_siblings) {
            scope_.cancel();
        }
    }
    if (--running_ == 0) {
        idle_.wake_all();
    }
}

Task<void> TaskGroup::join() {
    bool waiter_cancelled = false;
    while (running_ > 0) {
        if (Result<void> woken = co_await idle_.wait(); !woken) {
            waiter_cancelled = true;
            scope_.cancel();
            break;
        }
    }
    while (running_ > 0) {
        // Our own scope is cancelled: waiting under it would return at once.
        auto rest = [](WaitList& idle) -> Task<void> { co_return co_await idle.wait(); };
        static_cast<void>(co_await rest(idle_).under(nullptr));
    }
    if (first_error_) {
        co_return std::move(*std::exchange(first_error_, std::nullopt));
    }
    if (waiter_cancelled) {
        co_return cancelled_error();
    }
    co_return ok;
}

}  // namespace davit
