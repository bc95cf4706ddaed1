#include "bench/support/running.h"

#include <set>

#include <fmt/format.h>

#include "bench/support/interrupt.h"

namespace davit::bench {

Result<void> Running::fill(int count) {
    std::set<const Steward*> seen;
    for (Entrant& entrant : field_.entrants()) {
        Steward* steward = entrant.contender ? entrant.steward.get() : nullptr;
        if (steward != nullptr && seen.insert(steward).second && !missing_.contains(steward)) {
            TRY_VOID(fill(*steward, count));
        }
    }
    return ok;
}

Result<void> Running::fill(Steward& steward, int count) {
    const int before = steward.sleepers();
    if (before >= count) {
        return ok;
    }
    const std::optional<long> share_before = steward.share_kib();
    const MonotonicTime begun = monotonic_now();
    while (steward.sleepers() < count) {
        const bool late = monotonic_now() - begun > limit_;
        Result<void> added =
            late ? Error(ErrorKind::timed_out, "it takes too long") : steward.sleeper_add();
        if (interrupted()) {
            return Error(ErrorKind::cancelled, "interrupted");
        }
        if (!added) {
            give_up(steward, count, added.error());
            return ok;
        }
    }
    const double seconds = static_cast<double>((monotonic_now() - begun).count()) / 1e9;
    const std::optional<long> share = steward.share_kib();
    std::map<std::string, double> numbers = {{"running", count}, {"seconds", seconds}};
    std::string memory;
    if (share && share_before) {
        const double each = static_cast<double>(*share - *share_before) / (count - before);
        shares_[steward.engine()][count] = each;
        numbers["share_each_kib"] = each;
        memory = fmt::format(", {:.0f} KiB of the engine's memory for each", each);
    }
    fmt::print("{} has {} containers after {:.1f} s{}\n", steward.engine(), count, seconds, memory);
    json_.write({{"bench", "startup"}, {"kind", "filled"}, {"engine", steward.engine()}}, numbers);
    return ok;
}

void Running::give_up(Steward& steward, int count, const Error& error) {
    const int reached = steward.sleepers();
    std::string& reason = missing_[&steward];
    reason = fmt::format("{} of {} containers ran: {}", reached, count, error.message());
    fmt::print("{}: not measured with {} running: {}\n", steward.engine(), count, reason);
    json_.write({{"bench", "startup"},
                 {"kind", "unfilled"},
                 {"engine", steward.engine()},
                 {"reason", reason}},
                {{"running", count}, {"reached", reached}});
    if (Result<void> cleaned = steward.clean(); !cleaned) {
        fmt::print(stderr, "{}: {}, ignoring\n", steward.engine(), cleaned.error().message());
    }
}

std::string Running::missing(const Entrant& entrant) const {
    const auto found = missing_.find(entrant.steward.get());
    return found == missing_.end() ? "" : found->second;
}

}  // namespace davit::bench
