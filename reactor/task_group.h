#pragma once
/// TaskGroup: the only way to run tasks side by side. Whoever makes a group joins it.
#include <list>

#include "reactor/async_event.h"

namespace davit {

/// What one failed task means for its siblings.
enum class GroupPolicy { cancel_siblings, independent };

class TaskGroup {
  public:
    explicit TaskGroup(GroupPolicy policy = GroupPolicy::cancel_siblings) : policy_(policy) {}

    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    ~TaskGroup() { assert(running_ == 0 && "a TaskGroup is destroyed before it was joined"); }

    /// Start a task now, up to its first wait. Its error, unless cancelled, is what join() gives if
    /// it is the first. After cancel() a spawned task starts cancelled.
    void spawn(Task<void> task);

    /// Cancel every task of the group; they still have to be joined.
    void cancel() { scope_.cancel(); }

    bool cancelled() const { return scope_.cancelled(); }

    /// Wait until none is left. A cancellation of the waiter is passed on to the tasks, and waited
    /// for. Errors: the first of the tasks'; cancelled if the waiter was.
    Task<void> join();

    std::size_t running() const { return running_; }

  private:
    struct Driver {
        struct promise_type : PromiseBase {
            Driver get_return_object() { return {}; }

            std::suspend_never initial_suspend() noexcept { return {}; }

            std::suspend_never final_suspend() noexcept { return {}; }

            void return_void() {}
        };
    };

    Driver drive(Task<void> task);

    GroupPolicy policy_;
    CancelScope scope_;
    std::size_t running_ = 0;
    std::optional<Error> first_error_;
    WaitList idle_;
};

/// Run two tasks side by side; the first error cancels the other one. Errors: the first of theirs;
/// cancelled if one of them was, for whatever reason.
template <typename A, typename B>
Task<std::pair<A, B>> when_both(Task<A> first, Task<B> second) {
    std::optional<A> a;
    std::optional<B> b;
    auto store = []<typename T>(Task<T> task, std::optional<T>& slot) -> Task<void> {
        CO_TRY(T value, co_await std::move(task));
        slot.emplace(std::move(value));
        co_return ok;
    };
    TaskGroup group;
    group.spawn(store(std::move(first), a));
    group.spawn(store(std::move(second), b));
    CO_CHECK(co_await group.join());
    if (!a || !b) {
        co_return cancelled_error();  // Not by the group: a group does not call that an error.
    }
    co_return std::pair<A, B>(std::move(*a), std::move(*b));
}

}  // namespace davit
