#pragma once
/// What a match has found, as tables on stdout.
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/support/contender.h"

namespace davit::bench {

/// What is known of one contender in one table.
struct Score {
    Samples whole;
    std::map<std::string, Samples> steps;
    Nanoseconds elapsed{};
    Nanoseconds cpu{};
    double loop_longest_ms = -1;
    std::string error;
    bool too_slow = false;  // The error is that.

    double rate() const {
        return static_cast<double>(whole.count()) * 1e9 / static_cast<double>(elapsed.count());
    }
};

/// "run, network none, 4 client(s)".
std::string title_of(const Work& work, int clients);

struct ScoreRow {
    std::string name;
    const Score* score;
    bool is_davit = false;  // The others are compared with it.
};

/// Contenders below each other. Those without a sample are left out.
void print_scores(const Work& work, int clients, const std::vector<ScoreRow>& rows);

struct AdversityRow {
    std::string name;
    const std::map<Adversity, Score>* scores;
};

/// The same contenders: how many times as long each adversity lets it take. Nothing if there is
/// none.
void print_adversities(const Work& work,
                       int clients,
                       const std::vector<Adversity>& adversities,
                       const std::vector<AdversityRow>& rows);

/// How latency and rate change with the number of containers that already run.
class RunningBoard {
  public:
    void add(const Work& work, int clients, const std::string& contender, const Score& score);

    /// Nothing if there was one number only. Takes: KiB for each container by engine and number.
    void print(const std::map<std::string, std::map<int, double>>& shares) const;

  private:
    struct Cell {
        double p50_ms = -1;
        double rate = -1;
    };

    std::vector<std::string> titles_;  // In the order of the run.
    std::map<std::string, std::map<std::string, std::map<int, Cell>>> cells_;
    std::map<int, bool> counts_;
};

}  // namespace davit::bench
