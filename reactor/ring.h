#pragma once
/// Ring: io_uring on the loop. Operations are queued by co_await and submitted once per loop turn.
///
/// Follows: io_uring(7). A cancelled operation is asked to stop and still waited for: the kernel
/// owns the buffers until its completion arrives.
#include <liburing.h>

#include <memory>

#include "reactor/poller.h"

namespace davit {

class Ring {
  public:
    /// Errors: unsupported (the kernel has no io_uring, or it is disabled by sysctl or seccomp).
    static Result<std::unique_ptr<Ring>> make();

    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    class OpBase : protected Waiter {
      public:
        /// The completion arrived.
        void finish(int result) noexcept {
            result_ = result;
            complete();
        }

      protected:
        explicit OpBase(Ring& ring) : ring_(ring) {}

        ~OpBase() = default;

        /// A free submission entry, flushing the queue if it is full.
        io_uring_sqe* entry();
        void started(io_uring_sqe* sqe);

        int result_ = 0;

      private:
        void on_cancel() noexcept override;
        Ring& ring_;
    };

    template <typename Prepare>
    class Op final : OpBase {
      public:
        Op(Ring& ring, Prepare prepare) : OpBase(ring), prepare_(std::move(prepare)) {}

        bool await_ready() const noexcept { return false; }

        template <typename Promise>
        bool await_suspend(std::coroutine_handle<Promise> handle) {
            if (!wait_begin(handle)) {
                result_ = -ECANCELED;
                return false;
            }
            io_uring_sqe* sqe = entry();
            prepare_(sqe);
            started(sqe);
            return true;
        }

        /// The completion's result: a count or descriptor, or a negative errno.
        int await_resume() const { return result_; }

      private:
        Prepare prepare_;
    };

    /// Queue one operation: prepare(sqe) fills it in by io_uring_prep_*.
    template <typename Prepare>
    Op<Prepare> op(Prepare prepare) {
        return Op<Prepare>(*this, std::move(prepare));
    }

    /// Submit what is queued. Called by the loop once per turn.
    void flush();

  private:
    Ring() = default;

    void reap();

    struct WatchState;

    io_uring ring_{};
    bool initialized_ = false;
    unsigned queued_ = 0;
    WatchState* watch_ = nullptr;
};

}  // namespace davit
