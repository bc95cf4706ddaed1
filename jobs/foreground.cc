#include "jobs/foreground.h"

#include <algorithm>
#include <utility>

#include "reactor/work_pool.h"

namespace davit {

namespace {

/// The longest pause: a start takes a tenth of that to a half.
constexpr Nanoseconds pause_most = std::chrono::milliseconds(40);

/// Who takes longer waits for something else than the processors.
constexpr Nanoseconds patience = std::chrono::milliseconds(250);

}  // namespace

Foreground::~Foreground() {
    if (paused_ != nullptr) {
        resume();
    }
}

Foreground::Hold::Hold(Foreground& foreground) : foreground_(foreground) {
    ++foreground_.holds_;
    foreground_.latest_ = monotonic_now();
    foreground_.look();
}

Foreground::Hold::~Hold() {
    --foreground_.holds_;
    foreground_.look();
}

Foreground::Pass::Pass(Foreground& foreground) : foreground_(foreground) {
    ++foreground_.passes_;
    foreground_.look();
}

Foreground::Pass::~Pass() {
    --foreground_.passes_;
    foreground_.look();
}

void Foreground::resume() {
    std::exchange(paused_, nullptr)->resume();
}

/// Begin or end a pause, and see to it that somebody looks again when that is to change.
void Foreground::look() noexcept {
    const MonotonicTime now = monotonic_now();
    const bool wanted = holds_ > 0 && passes_ == 0 && now < latest_ + patience;
    if (paused_ != nullptr && (!wanted || now >= since_ + pause_most)) {
        resume();
        not_before_ = now + (now - since_);
    }
    // Threads that nothing has begun need no pause, and are not made for one.
    WorkPool* const bulk = Loop::current().bulk_if_made();
    if (paused_ == nullptr && wanted && now >= not_before_ && bulk != nullptr) {
        paused_ = bulk;
        since_ = now;
        bulk->pause();
    }
    timer_.disarm();
    if (wanted && bulk != nullptr) {
        const MonotonicTime turn = paused_ != nullptr ? since_ + pause_most : not_before_;
        timer_.arm(
            std::min(turn, latest_ + patience),
            [](void* self) noexcept { static_cast<Foreground*>(self)->look(); },
            this);
    }
}

}  // namespace davit
