#include "reactor/ring.h"

#include <uv.h>

#include "reactor/base/limits.h"

namespace davit {

/// The poll handle on the ring's descriptor, in libuv's hands until its close callback.
struct Ring::WatchState {
    uv_poll_t handle{};
    Ring* ring = nullptr;
};

Result<std::unique_ptr<Ring>> Ring::make() {
    std::unique_ptr<Ring> ring(new Ring);
    io_uring_params parameters{};
    // SUBMIT_ALL: an entry that cannot be submitted completes with its error; those behind it go
    // on.
    parameters.flags = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    if (const int result =
            io_uring_queue_init_params(limits::ring_entries, &ring->ring_, &parameters);
        result != 0) {
        return Error::from_errno(-result, "io_uring_setup").with_kind(ErrorKind::unsupported);
    }
    ring->initialized_ = true;
    auto watch = std::make_unique<WatchState>();
    watch->ring = ring.get();
    if (const int result = uv_poll_init(Loop::current().uv(), &watch->handle, ring->ring_.ring_fd);
        result != 0) {
        return Error::from_errno(-result, "poll", "io_uring");
    }
    watch->handle.data = watch.get();
    ring->watch_ = watch.release();
    uv_poll_start(&ring->watch_->handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
        static_cast<WatchState*>(handle->data)->ring->reap();
    });
    return ring;
}

Ring::~Ring() {
    if (watch_ != nullptr) {
        uv_close(reinterpret_cast<uv_handle_t*>(&watch_->handle),
                 [](uv_handle_t* handle) { delete static_cast<WatchState*>(handle->data); });
    }
    if (initialized_) {
        io_uring_queue_exit(&ring_);
    }
}

io_uring_sqe* Ring::OpBase::entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_.ring_);
    if (sqe == nullptr) {
        ring_.flush();
        sqe = io_uring_get_sqe(&ring_.ring_);
        assert(sqe != nullptr);
    }
    return sqe;
}

void Ring::OpBase::started(io_uring_sqe* sqe) {
    io_uring_sqe_set_data(sqe, this);
    ++ring_.queued_;
}

void Ring::OpBase::on_cancel() noexcept {
    io_uring_sqe* sqe = entry();
    io_uring_prep_cancel(sqe, this, 0);
    io_uring_sqe_set_data(sqe, nullptr);
    ++ring_.queued_;
}

void Ring::flush() {
    while (queued_ > 0) {
        const int submitted = io_uring_submit(&ring_);
        if (submitted >= 0) {
            queued_ = 0;
            return;
        }
        // Completions have to be taken before the kernel accepts more: io_uring_enter(2) EBUSY,
        // EAGAIN.
        assert(submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR);
        reap();
    }
}

void Ring::reap() {
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
        auto* op = static_cast<OpBase*>(io_uring_cqe_get_data(cqe));
        const int result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        if (op != nullptr) {
            op->finish(result);
        }
    }
}

}  // namespace davit
