#include "jobs/admission.h"

#include <algorithm>
#include <utility>

#include "reactor/timer.h"

namespace davit {

namespace {

/// The most and the least turns there are, for each processor.
constexpr std::size_t most_each = 32;
constexpr std::size_t least_each = 2;

/// Starts until what the quickest one took is forgotten to a third.
constexpr int memory = 8192;

/// A start that takes longer waits for something else than its like.
constexpr Nanoseconds patience = std::chrono::milliseconds(250);

}  // namespace

Admission::Admission(std::size_t processors)
    : least_limit_(least_each * processors),
      most_limit_(most_each * processors),
      limit_(2 * least_limit_) {}

Admission::Turn::Turn(Turn&& other) noexcept
    : admission_(std::exchange(other.admission_, nullptr)), held_(other.held_) {}

Admission::Turn& Admission::Turn::operator=(Turn&& other) noexcept {
    std::swap(admission_, other.admission_);
    std::swap(held_, other.held_);
    return *this;
}

Admission::Turn::~Turn() {
    if (admission_ != nullptr) {
        admission_->leave(held_);
    }
}

Admission::Turn Admission::turn_make() {
    held_.push_back(Turn::Held{.since = monotonic_now()});
    if (!lanes_.empty()) {
        crowded_.set();
    }
    return Turn(*this, std::prev(held_.end()));
}

Task<Admission::Turn> Admission::enter(std::uint64_t who) {
    if (!is_full()) {
        ++counted_;
        co_return turn_make();
    }
    auto lane = std::ranges::find(lanes_, who, [](const auto& item) { return item->who; });
    if (lane == lanes_.end()) {
        lane = lanes_.insert(lanes_.end(), std::make_shared<Lane>());
        (*lane)->who = who;
    }
    const std::shared_ptr<Lane> own = *lane;
    crowded_.set();
    // admit() has counted who is woken.
    const Result<void> woken = co_await own->waiters.wait();
    if (!woken) {
        if (own->waiters.empty()) {
            lanes_.remove(own);
        }
        co_return woken.error();
    }
    co_return turn_make();
}

void Admission::leave(std::list<Turn::Held>::iterator held) {
    const Nanoseconds took = monotonic_now() - held->since;
    if (held->counted) {
        --counted_;
        if (held->succeeded) {
            learn(took);
        }
    }
    held_.erase(held);
    admit();
}

void Admission::learn(Nanoseconds took) {
    least_ = least_ == Nanoseconds{} ? took : std::min(least_ + least_ / memory, took);
    lately_ = lately_ == Nanoseconds{} ? took : lately_ + (took - lately_) / 8;
    // Only a limit that is reached says anything; and not before the last change has shown.
    if (++since_change_ < limit_ || lanes_.empty()) {
        return;
    }
    since_change_ = 0;
    const auto share = static_cast<double>(least_.count()) / static_cast<double>(lately_.count());
    const double queued = static_cast<double>(limit_) * (1.0 - share);
    if (queued < static_cast<double>(least_limit_)) {
        limit_ = std::min(limit_ + 1, most_limit_);
    } else if (queued > 2.0 * static_cast<double>(least_limit_)) {
        limit_ = std::max(limit_ - 1, least_limit_);
    }
}

/// Give what is free to those who wait, one of each lane in turn.
void Admission::admit() {
    while (counted_ < limit_ && !lanes_.empty()) {
        const std::shared_ptr<Lane> lane = lanes_.front();
        lanes_.pop_front();
        if (!lane->waiters.wake_one()) {
            continue;
        }
        ++counted_;
        if (!lane->waiters.empty()) {
            lanes_.push_back(lane);
        }
    }
}

Task<void> Admission::run() {
    for (;;) {
        CO_CHECK(co_await crowded_.wait());
        const MonotonicTime too_long_ago = monotonic_now() - patience;
        for (Turn::Held& held : held_) {
            if (held.since > too_long_ago) {
                break;
            }
            counted_ -= std::exchange(held.counted, false) ? 1 : 0;
        }
        admit();
        const auto next = std::ranges::find(held_, true, &Turn::Held::counted);
        if (lanes_.empty() || next == held_.end()) {
            crowded_.reset();  // The next turn that begins while others wait sets it.
        } else {
            CO_CHECK(co_await sleep_until(next->since + patience));
        }
    }
}

}  // namespace davit
