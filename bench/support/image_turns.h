#pragma once
/// What engines do with images, in turns: one engine after the other, round after round.
#include <functional>

#include "bench/support/image_engine.h"

namespace davit::bench {

/// One row of the table for each engine. Only act is timed.
struct ImageWork {
    std::string name;
    std::string reference;  // Whose size counts for MB/s.
    std::function<Result<void>(ImageEngine&)> prepare;
    std::function<Result<void>(ImageEngine&)> act;
};

/// Do all of it in each round, and print the table.
///
/// MB/s counts uncompressed bytes (10^6), as the first engine reports the image's size. Of daemons
/// the table has the most memory that was resident during the work, above what was before the first
/// one; of davit the longest turn of its loop, too. Both are of the worst round.
void image_turns(const std::string& bench,
                 const std::vector<ImageWork>& works,
                 const std::vector<std::unique_ptr<ImageEngine>>& engines,
                 int rounds,
                 JsonLines& json);

}  // namespace davit::bench
