#pragma once
/// The contenders of a field against each other: the same work by each in turns.
#include <mutex>
#include <optional>

#include "bench/bench.h"
#include "bench/support/adversity.h"
#include "bench/support/field.h"
#include "bench/support/running.h"
#include "bench/support/scoreboard.h"

namespace davit::bench {

struct MatchOptions {
    std::vector<Scenario> scenarios;
    std::vector<Network> networks;
    std::vector<int> clients;
    std::vector<int> running = {0};  // Ascending: so many containers run already.
    Nanoseconds fill_limit = std::chrono::seconds(120);      // For an engine to get them.
    std::vector<Adversity> adversities = {Adversity::none};  // None is the first.
    std::uint64_t dirty_bytes = 4ULL << 30;                  // Of Adversity::dirty, at most.
    int rounds = 10;
    double turn_seconds = 0.5;  // About as long is a contender's turn; one container each at least.
};

/// With every number of containers that already run, every scenario on every network (exec on the
/// first), with every number of clients. Each has a table on stdout, and its samples in the JSON
/// lines (README.md, "The samples").
///
/// Each adversity is a turn of its own right after that without any, and a column of a second table
/// with the ratio of the two.
///
/// A contender that fails ends its part of that table; one that exceeds the limit is in none with
/// more clients, and if it does so alone in nothing more at all. That is said where it would stand.
/// Whatever a table left in an engine is removed after it.
class Match {
  public:
    /// The workspace must outlive it.
    Match(Field& field, const Workspace& workspace, MatchOptions options, JsonLines& json)
        : field_(field),
          options_(std::move(options)),
          json_(json),
          running_(field, json, options_.fill_limit),
          adversities_(workspace, options_.dirty_bytes) {}

    /// Errors: cancelled alone (interrupt.h).
    Result<void> run();

  private:
    struct Seat;

    Result<void> adversities_prepare();
    Result<void> bouts(int running);
    Result<void> bout(const Work& work);
    Result<void> table(const Work& work, int clients, std::vector<Seat>& seats);
    void warm_up(const Work& work, Seat& seat);
    void turns(Work work, int clients, int round, Seat& seat);
    Result<void> clients_make(const Work& work, int clients, Seat& seat);
    void turn(const Work& work, int clients, int round, Seat& seat);
    void play(const Work& work, int clients, int round, int count, Seat& seat);
    void record(const Work& work, int clients, int round, const Seat& seat, const Timing& timing);
    void write(const char* kind,
               const Work& work,
               int clients,
               const Seat& seat,
               std::map<std::string, std::string> texts,
               std::map<std::string, double> numbers);
    void failed(const Work& work, int clients, Seat& seat, const Error& error);
    void clean(const Work& work, std::vector<Seat>& seats);
    void print(const Work& work, int clients, std::vector<Seat>& seats);

    Field& field_;
    MatchOptions options_;
    JsonLines& json_;
    Running running_;
    RunningBoard board_;
    Adversities adversities_;
    std::mutex lock_;
    std::map<std::string, std::string> out_;  // Who takes part no more, and why.
};

}  // namespace davit::bench
