#pragma once
/// The containers that engines already have while others are measured.
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/support/field.h"

namespace davit::bench {

class Running {
  public:
    /// Takes: how long an engine may take to get as many as it should have.
    Running(Field& field, JsonLines& json, Nanoseconds limit)
        : field_(field), json_(json), limit_(limit) {}

    /// Let every engine have so many, at least as many as before; how long that took and what
    /// memory each takes is said on stdout and in the JSON lines. One that fails, or is too slow,
    /// has none afterwards. Errors: cancelled alone.
    Result<void> fill(int count);

    /// Why this entrant's engine does not have them; "" if it does, or is none.
    std::string missing(const Entrant& entrant) const;

    /// KiB for each container by engine and number, as far as it is known.
    const std::map<std::string, std::map<int, double>>& shares() const { return shares_; }

  private:
    Result<void> fill(Steward& steward, int count);
    void give_up(Steward& steward, int count, const Error& error);

    Field& field_;
    JsonLines& json_;
    Nanoseconds limit_;
    std::map<const Steward*, std::string> missing_;
    std::map<std::string, std::map<int, double>> shares_;
};

}  // namespace davit::bench
