#pragma once
/// StallDetector: how long the loop is away from its descriptors, always measured.
///
/// The histogram's bucket i counts turns of [2^i, 2^(i+1)) us;
/// bucket 0 also holds shorter ones.
#include <array>
#include <cstdint>

#include "reactor/base/clock.h"

namespace davit {

class StallDetector {
  public:
    static constexpr std::size_t bucket_count = 24;

    /// One loop turn ended that kept the loop busy (not waiting in poll) for so long.
    void turn(Nanoseconds busy);

    Nanoseconds longest() const { return longest_; }

    std::uint64_t turns() const { return turns_; }

    /// Turns that took longer than 1 ms, the bound for any step on the loop.
    std::uint64_t long_turns() const { return long_turns_; }

    const std::array<std::uint64_t, bucket_count>& histogram() const { return buckets_; }

  private:
    Nanoseconds longest_{};
    std::uint64_t turns_ = 0;
    std::uint64_t long_turns_ = 0;
    std::array<std::uint64_t, bucket_count> buckets_{};
};

}  // namespace davit
