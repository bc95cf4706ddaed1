#include "reactor/bulk_pool.h"

#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <cassert>

#include "reactor/base/limits.h"
#include "reactor/loop.h"

namespace davit {

BulkPool::BulkPool(Loop& loop) : async_(new uv_async_t) {
    async_->data = this;
    [[maybe_unused]] const int result = uv_async_init(loop.uv(), async_, [](uv_async_t* handle) {
        static_cast<BulkPool*>(handle->data)->done_call();
    });
    assert(result == 0);
    for (std::size_t i = 0; i < limits::bulk_threads; ++i) {
        threads_.emplace_back([this] { thread_run(); });
    }
}

BulkPool::~BulkPool() {
    {
        const std::lock_guard lock(mutex_);
        assert(queue_.empty() && done_.empty() && "work outlives its pool");
        ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
    uv_close(reinterpret_cast<uv_handle_t*>(async_),
             [](uv_handle_t* closed) { delete reinterpret_cast<uv_async_t*>(closed); });
}

void BulkPool::submit(BulkWork& work) {
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back(&work);
    }
    changed_.notify_one();
}

void BulkPool::take_back(BulkWork& work) {
    {
        const std::lock_guard lock(mutex_);
        const auto place = std::ranges::find(queue_, &work);
        if (place == queue_.end()) {
            return;
        }
        queue_.erase(place);
        done_.push_back(&work);
    }
    uv_async_send(async_);
}

void BulkPool::thread_run() {
    // Linux has a nice value per thread: setpriority(2), "C library/kernel differences". Being
    // nicer needs no privilege; refused all the same, the work is done as before.
    const auto own = static_cast<id_t>(gettid());
    static_cast<void>(
        setpriority(PRIO_PROCESS, own, getpriority(PRIO_PROCESS, own) + limits::bulk_thread_nice));
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (ending_) {
            return;
        }
        BulkWork* work = queue_.front();
        queue_.pop_front();
        lock.unlock();
        work->run(work->context);
        lock.lock();
        done_.push_back(work);
        uv_async_send(async_);
    }
}

void BulkPool::done_call() {
    std::vector<BulkWork*> done;
    {
        const std::lock_guard lock(mutex_);
        done.swap(done_);
    }
    for (BulkWork* work : done) {
        work->done(work->context);
    }
}

}  // namespace davit
