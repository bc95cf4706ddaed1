#include "reactor/loop.h"

#include <uv.h>

#include <algorithm>
#include <cassert>

#include "reactor/base/limits.h"
#include "reactor/ring.h"
#include "reactor/work_pool.h"

namespace davit {

namespace {

Loop* current_loop = nullptr;

/// Handles of the loop itself live as long as the loop, so their memory is simply owned by it.
template <typename Handle>
Handle* handle_make(Loop* owner) {
    auto* handle = new Handle;
    handle->data = owner;
    return handle;
}

template <typename Handle>
void handle_close(Handle* handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
}

void must(int result) {
    assert(result == 0);
    static_cast<void>(result);
}

}  // namespace

void TimerNode::arm(MonotonicTime deadline, Callback callback, void* context) {
    disarm();
    loop_ = &Loop::current();
    callback_ = callback;
    context_ = context;
    place_ = loop_->timers_.emplace(deadline, this);
    if (place_ == loop_->timers_.begin()) {
        loop_->timers_arm();
    }
}

void TimerNode::disarm() {
    if (loop_ != nullptr) {
        loop_->timers_.erase(place_);
        loop_ = nullptr;
    }
}

Loop::Loop() : uv_(new uv_loop_t) {
    assert(current_loop == nullptr && "one loop per process");
    current_loop = this;
    must(uv_loop_init(uv_));
    must(uv_loop_configure(uv_, UV_METRICS_IDLE_TIME));
    prepare_ = handle_make<uv_prepare_t>(this);
    check_ = handle_make<uv_check_t>(this);
    idle_ = handle_make<uv_idle_t>(this);
    timer_ = handle_make<uv_timer_t>(this);
    must(uv_prepare_init(uv_, prepare_));
    must(uv_check_init(uv_, check_));
    must(uv_idle_init(uv_, idle_));
    must(uv_timer_init(uv_, timer_));
    must(uv_prepare_start(prepare_, on_prepare));
    must(uv_check_start(check_, on_check));
}

Loop::~Loop() {
    assert(ready_.empty() && next_turn_.empty() && timers_.empty() && "tasks outlive the loop");
    ring_.reset();
    brief_.reset();
    bulk_.reset();
    handle_close(prepare_);
    handle_close(check_);
    handle_close(idle_);
    handle_close(timer_);
    // Runs the close callbacks, ours and those still pending.
    while (uv_run(uv_, UV_RUN_DEFAULT) != 0) {
    }
    must(uv_loop_close(uv_));
    delete uv_;
    current_loop = nullptr;
}

Loop& Loop::current() {
    assert(current_loop != nullptr);
    return *current_loop;
}

Result<Ring*> Loop::ring() {
    if (!ring_) {
        TRY(ring_, Ring::make());
    }
    return ring_.get();
}

WorkPool& Loop::brief() {
    if (!brief_) {
        brief_ = std::make_unique<WorkPool>(*this, limits::brief_threads, 0);
    }
    return *brief_;
}

WorkPool& Loop::bulk() {
    if (!bulk_) {
        bulk_ = std::make_unique<WorkPool>(*this, limits::bulk_threads, limits::bulk_thread_nice);
    }
    return *bulk_;
}

void Loop::run_root(Task<void> task) {
    bool done = false;

    // The one coroutine that nobody awaits: its frame ends with it, inside this call.
    struct Root {
        struct promise_type : PromiseBase {
            Root get_return_object() { return {}; }

            std::suspend_never initial_suspend() noexcept { return {}; }

            std::suspend_never final_suspend() noexcept { return {}; }

            void return_void() {}
        };
    };

    auto start = [](Task<void> root, bool& root_done, uv_loop_t* uv) -> Root {
        static_cast<void>(co_await std::move(root));
        root_done = true;
        uv_stop(uv);  // Else the turn that ends the root would still wait in poll.
    };
    start(std::move(task), done, uv_);
    while (!done) {
        uv_run(uv_, UV_RUN_ONCE);
    }
}

void Loop::drain() {
    std::size_t budget = limits::resumes_per_turn_max;
    while (!ready_.empty() && budget > 0) {
        running_.swap(ready_);
        const std::size_t count = std::min(budget, running_.size());
        for (std::size_t i = 0; i < count; ++i) {
            running_[i].resume();
        }
        budget -= count;
        // What the budget left over stays ahead of what the resumed ones queued.
        ready_.insert(
            ready_.begin(), running_.begin() + static_cast<std::ptrdiff_t>(count), running_.end());
        running_.clear();
    }
    // An active idle handle makes the next poll return at once.
    if (ready_.empty() && next_turn_.empty()) {
        uv_idle_stop(idle_);
    } else {
        uv_idle_start(idle_, [](uv_idle_t*) {});
    }
    if (ring_) {
        ring_->flush();
    }
}

void Loop::on_prepare(uv_prepare_s* handle) {
    Loop& loop = *static_cast<Loop*>(handle->data);
    loop.drain();
    // Busy is what of the turn was not spent waiting in poll; libuv counts that part for us.
    const MonotonicTime now = monotonic_now();
    const Nanoseconds idle(static_cast<std::int64_t>(uv_metrics_idle_time(loop.uv_)));
    if (loop.turn_begun_ != MonotonicTime{}) {
        loop.stalls_.turn(now - loop.turn_begun_ - (idle - loop.idle_before_));
    }
    loop.turn_begun_ = now;
    loop.idle_before_ = idle;
}

void Loop::on_check(uv_check_s* handle) {
    Loop& loop = *static_cast<Loop*>(handle->data);
    loop.ready_.insert(loop.ready_.end(), loop.next_turn_.begin(), loop.next_turn_.end());
    loop.next_turn_.clear();
    loop.drain();
}

void Loop::timers_arm() {
    if (timers_.empty()) {
        uv_timer_stop(timer_);
        return;
    }
    // Rounded up: a timer never fires early.
    const Nanoseconds left = timers_.begin()->first - monotonic_now();
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    uv_update_time(uv_);
    must(uv_timer_start(
        timer_, on_timer, milliseconds > 0 ? static_cast<std::uint64_t>(milliseconds) : 0, 0));
}

void Loop::timers_fire() {
    const MonotonicTime now = monotonic_now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        TimerNode* node = timers_.begin()->second;
        node->disarm();
        node->callback_(node->context_);
    }
    timers_arm();
}

void Loop::on_timer(uv_timer_s* handle) {
    static_cast<Loop*>(handle->data)->timers_fire();
}

}  // namespace davit
