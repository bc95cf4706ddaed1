#pragma once
/// Task<T>: a lazy coroutine that owns its frame; awaiting it yields Result<T>, always.
///
/// A task starts when it is awaited (or spawned into a TaskGroup), has one awaiter, and inherits
/// the awaiter's cancel scope. It cannot be destroyed while it is suspended half-way: whoever
/// starts work waits for its end. Resumption goes through Loop::post, never inline from a callback.
///
/// await_suspend uses its bool form: symmetric transfer is a real call at -O0 and under
/// AddressSanitizer, where a long row of awaits that finish at once would overflow the stack.
#include <cassert>
#include <coroutine>
#include <cstdlib>
#include <exception>
#include <optional>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/cancel.h"

namespace davit {

/// What every promise of ours has; leaf awaiters reach the cancel scope through it.
class PromiseBase {
  public:
    CancelScope* scope() const { return scope_; }

    void set_scope(CancelScope* scope) { scope_ = scope; }

    std::suspend_always initial_suspend() noexcept { return {}; }

    [[noreturn]] void unhandled_exception() noexcept {
        // davit code does not throw; an exception here is a library's that was not caught at its
        // call.
        std::terminate();
    }

    struct FinalAwaiter {
        bool await_ready() noexcept { return false; }

        template <typename Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
            PromiseBase& promise = handle.promise();
            if (!promise.started_inline_) {
                promise.continuation_.resume();  // May destroy this frame: nothing after it.
            }
        }

        void await_resume() noexcept {}
    };

    FinalAwaiter final_suspend() noexcept { return {}; }

  private:
    template <typename T>
    friend class Task;

    std::coroutine_handle<> continuation_;
    CancelScope* scope_ = nullptr;
    /// True while start() is on the stack: its caller then sees done() and goes on by itself.
    bool started_inline_ = false;
};

template <typename T>
class [[nodiscard]] Task {
  public:
    class promise_type : public PromiseBase {
      public:
        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }

        template <typename U>

        requires std::is_constructible_v<Result<T>, U &&> void return_value(U&& value) {
            result_.emplace(std::forward<U>(value));
        }

      private:
        friend class Task;
        std::optional<Result<T>> result_;
    };

    Task() = default;

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}

    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }

    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    ~Task() { destroy(); }

    explicit operator bool() const { return static_cast<bool>(handle_); }

    class Awaiter {
      public:
        Awaiter(std::coroutine_handle<promise_type> handle, CancelScope* scope, bool inherit)
            : handle_(handle), scope_(scope), inherit_(inherit) {}

        bool await_ready() const noexcept { return false; }

        template <typename Promise>
        bool await_suspend(std::coroutine_handle<Promise> awaiting) {
            PromiseBase& promise = handle_.promise();
            assert(!promise.continuation_ && "a task has one awaiter");
            promise.continuation_ = awaiting;
            promise.set_scope(inherit_ ? awaiting.promise().scope() : scope_);
            promise.started_inline_ = true;
            handle_.resume();
            promise.started_inline_ = false;
            return !handle_.done();
        }

        Result<T> await_resume() { return std::move(*handle_.promise().result_); }

      private:
        std::coroutine_handle<promise_type> handle_;
        CancelScope* scope_;
        bool inherit_;
    };

    Awaiter operator co_await() && {
        assert(handle_);
        return Awaiter(handle_, nullptr, true);
    }

    /// Await under another scope than the awaiter's: with_timeout, shielded, TaskGroup.
    Awaiter under(CancelScope* scope) && {
        assert(handle_);
        return Awaiter(handle_, scope, false);
    }

  private:
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

    void destroy() {
        if (handle_) {
            assert((handle_.done() || !handle_.promise().continuation_) &&
                   "a task is destroyed while it waits");
            handle_.destroy();
        }
    }

    std::coroutine_handle<promise_type> handle_;
};

/// The scope that the awaiting coroutine inherited; null where nothing can cancel it.
struct CurrentScope {
    CancelScope* scope = nullptr;

    bool await_ready() const noexcept { return false; }

    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
        scope = handle.promise().scope();
        return false;
    }

    CancelScope* await_resume() const noexcept { return scope; }
};

inline CurrentScope current_scope() {
    return {};
}

/// Run a task that cancellation does not reach: clean-up. It must end by itself.
template <typename T>
auto shielded(Task<T> task) -> Task<T> {
    co_return co_await std::move(task).under(nullptr);
}

inline Error cancelled_error() {
    return Error(ErrorKind::cancelled, "cancelled");
}

}  // namespace davit
