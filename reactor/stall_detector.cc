#include "reactor/stall_detector.h"

#include <algorithm>
#include <bit>

namespace davit {

void StallDetector::turn(Nanoseconds busy) {
    const auto microseconds =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, busy.count() / 1000));
    const std::size_t bucket =
        microseconds == 0 ? 0 : static_cast<std::size_t>(std::bit_width(microseconds) - 1);
    ++buckets_[std::min(bucket, bucket_count - 1)];
    ++turns_;
    long_turns_ += busy > std::chrono::milliseconds(1) ? 1 : 0;
    longest_ = std::max(longest_, busy);
}

}  // namespace davit
