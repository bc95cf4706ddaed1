#pragma once
/// Poller: readiness of one descriptor. Follows: poll(2), libuv uv_poll_t.
///
/// Interest is dropped lazily: a wait that ends leaves the descriptor in epoll, and the next event
/// that nobody waits for takes it out. A connection that is read in turn with being answered
/// therefore costs no epoll_ctl(2) at all. Readiness may be spurious: callers try, and wait again
/// on EAGAIN.
#include <memory>

#include "reactor/waiter.h"

namespace davit {

class Poller {
  public:
    enum class Direction : unsigned { read = 0, write = 1, hang_up = 2 };

    Poller() = default;

    /// The descriptor must be pollable, is made non-blocking, and must outlive the poller or be
    /// closed after it. One poller per descriptor. Errors: permission_denied (EPERM) for regular
    /// files.
    static Result<Poller> make(int fd);

    Poller(Poller&&) noexcept = default;
    Poller& operator=(Poller&&) noexcept = default;

    explicit operator bool() const { return static_cast<bool>(state_); }

  private:
    struct State;

    struct StateClose {
        void operator()(State* state) const;
    };

  public:
    class Awaiter final : Waiter {
      public:
        Awaiter(State* state, Direction direction) : state_(state), direction_(direction) {}

        bool await_ready() const noexcept { return false; }

        template <typename Promise>
        bool await_suspend(std::coroutine_handle<Promise> handle) {
            if (!wait_begin(handle)) {
                return false;
            }
            start();
            return true;
        }

        Result<void> await_resume() const {
            if (cancelled()) {
                return cancelled_error();
            }
            return ok;
        }

      private:
        friend struct State;

        void start();
        void on_cancel() noexcept override;

        State* state_;
        Direction direction_;
    };

    /// At most one waiter per direction. Errors: cancelled. An error or hang-up of the descriptor
    /// counts as readiness: the following read(2) or write(2) tells.
    Awaiter readable() { return Awaiter(state_.get(), Direction::read); }

    Awaiter writable() { return Awaiter(state_.get(), Direction::write); }

    /// Both directions of a socket are shut (EPOLLHUP): the peer is gone, not only done with
    /// writing.
    Awaiter hung_up() { return Awaiter(state_.get(), Direction::hang_up); }

  private:
    explicit Poller(State* state) : state_(state) {}

    std::unique_ptr<State, StateClose> state_;
};

}  // namespace davit
