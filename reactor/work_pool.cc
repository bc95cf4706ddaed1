#include "reactor/work_pool.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <cassert>

#include "reactor/loop.h"

namespace davit {

WorkPool::WorkPool(Loop& loop, std::size_t threads, int nice)
    : done_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), poll_(new uv_poll_t) {
    assert(done_event_);
    ::sem_init(&tokens_, 0, 0);
    poll_->data = this;
    [[maybe_unused]] int result = uv_poll_init(loop.uv(), poll_, done_event_.get());
    assert(result == 0);
    result = uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
        static_cast<WorkPool*>(handle->data)->done_call();
    });
    assert(result == 0);
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this, nice] { thread_run(nice); });
    }
}

WorkPool::~WorkPool() {
    resume();
    assert(waiting_.empty() && done_.load() == nullptr && "work outlives its pool");
    ending_ = true;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
        ::sem_post(&tokens_);
    }
    for (std::thread& thread : threads_) {
        thread.join();
    }
    ::sem_destroy(&tokens_);
    uv_close(reinterpret_cast<uv_handle_t*>(poll_),
             [](uv_handle_t* closed) { delete reinterpret_cast<uv_poll_t*>(closed); });
}

void WorkPool::submit(PoolWork& work) {
    if (!waiting_.empty() || !place(work)) {
        work.cell = no_cell;
        waiting_.push_back(&work);
    }
}

bool WorkPool::place(PoolWork& work) {
    const std::size_t index = filled_ % cell_count;
    if (cells_[index].load(std::memory_order_acquire) != nullptr) {
        return false;
    }
    ++filled_;
    work.cell = index;
    cells_[index].store(&work, std::memory_order_release);
    ::sem_post(&tokens_);
    return true;
}

void WorkPool::take_back(PoolWork& work) {
    if (work.cell == no_cell) {
        std::erase(waiting_, &work);
        give_back(work);
        return;
    }
    PoolWork* expected = &work;
    if (cells_[work.cell].compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel)) {
        give_back(work);
    }
}

void WorkPool::pause() {
    paused_.store(1, std::memory_order_relaxed);
}

void WorkPool::resume() {
    if (paused_.exchange(0, std::memory_order_relaxed) != 0) {
        paused_.notify_all();
    }
}

void WorkPool::thread_run(int nice) {
    // Linux has a nice value per thread: setpriority(2), "C library/kernel differences". Being
    // nicer needs no privilege; refused all the same, the work is done as before.
    const auto own = static_cast<id_t>(::gettid());
    static_cast<void>(::setpriority(PRIO_PROCESS, own, ::getpriority(PRIO_PROCESS, own) + nice));
    for (;;) {
        while (::sem_wait(&tokens_) != 0) {
        }  // EINTR.
        if (ending_) {
            return;
        }
        while (paused_.load(std::memory_order_relaxed) != 0) {
            paused_.wait(1, std::memory_order_relaxed);
        }
        const std::size_t index = emptied_.fetch_add(1, std::memory_order_relaxed) % cell_count;
        PoolWork* const work = cells_[index].exchange(nullptr, std::memory_order_acq_rel);
        if (work != nullptr) {
            work->run(work->context);
            give_back(*work);
        }
    }
}

void WorkPool::give_back(PoolWork& work) {
    PoolWork* last = done_.load(std::memory_order_relaxed);
    do {
        work.next = last;
    } while (!done_.compare_exchange_weak(
        last, &work, std::memory_order_release, std::memory_order_relaxed));
    // Also if others are there: who put those may be preempted before its own write.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t wrote = ::write(done_event_.get(), &one, sizeof(one));
}

void WorkPool::done_call() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(done_event_.get(), &count, sizeof(count));
    PoolWork* last = done_.exchange(nullptr, std::memory_order_acquire);
    PoolWork* first = nullptr;
    while (last != nullptr) {
        PoolWork* const before = std::exchange(last->next, first);
        first = std::exchange(last, before);
    }
    while (first != nullptr) {
        PoolWork* const work = std::exchange(first, first->next);  // It is gone with done.
        work->done(work->context);
    }
    while (!waiting_.empty() && place(*waiting_.front())) {
        waiting_.pop_front();
    }
}

}  // namespace davit
