#include "bench/support/match.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

/// How long after a turn what an engine does behind its back may go on, and still be its own.
constexpr auto settle_max = std::chrono::seconds(5);
constexpr int turn_containers_max = 200;

Nanoseconds own_cpu_time() {
    rusage own{};
    getrusage(RUSAGE_SELF, &own);
    const auto nanoseconds = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return nanoseconds(own.ru_utime) + nanoseconds(own.ru_stime);
}

/// What was written and is not on disk yet.
double dirty_mib() {
    return static_cast<double>(proc_number("/proc/meminfo", "Dirty:")) / 1024;
}

double microseconds(Nanoseconds duration) {
    return static_cast<double>(duration.count()) / 1e3;
}

}  // namespace

struct Match::Seat {
    Entrant* entrant;
    std::vector<Cycle> clients;
    Nanoseconds guess{};  // How long one takes.
    std::string absent;   // Why it is in no table of the bout.
    std::map<Adversity, Score> scores;

    Score& score(const Work& work) { return scores[work.adversity]; }

    bool plays(const Work& work) { return absent.empty() && score(work).error.empty(); }

    bool is_davit() const { return entrant->name == "davit API"; }
};

Result<void> Match::run() {
    for (const Entrant& entrant : field_.entrants()) {
        if (!entrant.contender) {
            fmt::print("not measured: {}: {}\n", entrant.name, entrant.absent);
            json_.write({{"bench", "startup"},
                         {"kind", "absent"},
                         {"contender", entrant.name},
                         {"reason", entrant.absent}},
                        {});
        }
    }
    TRY_VOID(adversities_prepare());
    for (const int running : options_.running) {
        TRY_VOID(running_.fill(running));
        TRY_VOID(bouts(running));
    }
    board_.print(running_.shares());
    return ok;
}

/// What this machine does not have is left out, and that is said.
Result<void> Match::adversities_prepare() {
    std::vector<Adversity> prepared;
    for (const Adversity adversity : options_.adversities) {
        Result<void> ready = adversities_.prepare(adversity, json_);
        if (ready) {
            prepared.push_back(adversity);
            continue;
        }
        if (interrupted()) {
            return ready;
        }
        fmt::print("not measured: {}: {}\n", name_of(adversity), ready.error().message());
        json_.write({{"bench", "startup"},
                     {"kind", "absent"},
                     {"contender", "all"},
                     {"adversity", name_of(adversity)},
                     {"reason", ready.error().message()}},
                    {});
    }
    options_.adversities = std::move(prepared);
    return ok;
}

Result<void> Match::bouts(int running) {
    for (const Scenario scenario : options_.scenarios) {
        for (const Network network : options_.networks) {
            if (scenario == Scenario::exec && network != options_.networks.front()) {
                continue;
            }
            TRY_VOID(bout({scenario, network, running}));
        }
    }
    return ok;
}

Result<void> Match::bout(const Work& work) {
    std::vector<Seat> seats;
    for (Entrant& entrant : field_.entrants()) {
        if (entrant.contender) {
            Seat& seat = seats.emplace_back();
            seat.entrant = &entrant;
            warm_up(work, seat);
            if (!seat.absent.empty() && !interrupted()) {
                fmt::print("{}, network {}: {}: not measured: {}\n",
                           name_of(work.scenario),
                           name_of(work.network),
                           entrant.name,
                           seat.absent);
            }
        }
    }
    for (const int clients : options_.clients) {
        if (Result<void> played = table(work, clients, seats); !played) {
            return played;
        }
    }
    clean(work, seats);
    return interrupted() ? Error(ErrorKind::cancelled, "interrupted") : Result<void>(ok);
}

/// One container, untimed: whether it works at all, and how long it takes.
void Match::warm_up(const Work& work, Seat& seat) {
    if (const auto out = out_.find(seat.entrant->name); out != out_.end()) {
        seat.absent = "out since it took too long: " + out->second;
        return;
    }
    seat.absent = running_.missing(*seat.entrant);
    if (!seat.absent.empty()) {
        return;
    }
    Result<Cycle> client = seat.entrant->contender->client_make(work);
    Result<Timing> tried = client ? (*client)() : Result<Timing>(client.error());
    if (tried) {
        seat.guess = tried->whole;
        seat.clients.push_back(*std::move(client));
        return;
    }
    if (tried.error().kind() != ErrorKind::unsupported) {
        failed(work, 1, seat, tried.error());
    }
    if (tried.error().kind() == ErrorKind::timed_out) {
        out_[seat.entrant->name] = tried.error().message();
    }
    seat.absent = tried.error().message();
}

/// One line of the samples; all of a kind have these fields.
void Match::write(const char* kind,
                  const Work& work,
                  int clients,
                  const Seat& seat,
                  std::map<std::string, std::string> texts,
                  std::map<std::string, double> numbers) {
    texts.merge(std::map<std::string, std::string>{{"bench", "startup"},
                                                   {"kind", kind},
                                                   {"contender", seat.entrant->name},
                                                   {"scenario", name_of(work.scenario)},
                                                   {"network", name_of(work.network)},
                                                   {"adversity", name_of(work.adversity)}});
    numbers["running"] = work.running;
    numbers["clients"] = clients;
    json_.write(texts, numbers);
}

void Match::failed(const Work& work, int clients, Seat& seat, const Error& error) {
    Score& score = seat.score(work);
    score.error = error.message();
    if (error.kind() == ErrorKind::cancelled) {
        return;  // Our own doing.
    }
    if (error.kind() == ErrorKind::unsupported) {
        write("unfit", work, clients, seat, {{"reason", error.message()}}, {});
        return;
    }
    score.too_slow = error.kind() == ErrorKind::timed_out;
    write("failed",
          work,
          clients,
          seat,
          {{"reason", error.message()}},
          {{"after", static_cast<double>(score.whole.count())}});
}

Result<void> Match::table(const Work& work, int clients, std::vector<Seat>& seats) {
    for (Seat& seat : seats) {
        // More clients will not be faster.
        std::erase_if(seat.scores, [](const auto& score) { return !score.second.too_slow; });
    }
    for (int round = 0; round < options_.rounds; ++round) {
        for (Seat& seat : seats) {
            turns(work, clients, round, seat);
            if (interrupted()) {
                return Error(ErrorKind::cancelled, "interrupted");
            }
        }
    }
    print(work, clients, seats);
    return ok;
}

/// One contender's turns of a round: with every adversity, of which the first is none.
void Match::turns(Work work, int clients, int round, Seat& seat) {
    for (const Adversity adversity : options_.adversities) {
        work.adversity = adversity;
        // Where it fails alone it is in no column.
        if (!seat.scores[Adversity::none].error.empty() || !seat.plays(work) || interrupted()) {
            continue;
        }
        if (Result<void> made = clients_make(work, clients, seat); !made) {
            failed(work, clients, seat, made.error());
            continue;
        }
        turn(work, clients, round, seat);
    }
}

Result<void> Match::clients_make(const Work& work, int clients, Seat& seat) {
    while (seat.clients.size() < static_cast<std::size_t>(clients)) {
        TRY(seat.clients.emplace_back(), seat.entrant->contender->client_make(work));
    }
    return ok;
}

void Match::turn(const Work& work, int clients, int round, Seat& seat) {
    Score& score = seat.score(work);
    const auto cores =
        std::min<unsigned>(std::thread::hardware_concurrency(), static_cast<unsigned>(clients));
    const double each_s = static_cast<double>(seat.guess.count()) / 1e9 * clients / cores;
    const int count =
        std::clamp(static_cast<int>(options_.turn_seconds / each_s), 1, turn_containers_max);
    const Engine* daemon = seat.entrant->daemon;
    if (seat.is_davit()) {
        static_cast<void>(daemon->loop_reset());
    }
    const std::set<pid_t> children = children_list();
    const bool in_process = seat.entrant->contender->in_process();
    const Nanoseconds own_before = in_process ? own_cpu_time() : Nanoseconds(0);
    const Nanoseconds cpu_before = descendants_cpu_time();
    const std::size_t done_before = score.whole.count();
    Result<std::unique_ptr<Disturbance>> disturbance =
        adversities_.begin(work.adversity, seat.entrant->steward.get());
    if (!disturbance) {
        failed(work, clients, seat, disturbance.error());
        return;
    }
    std::map<std::string, double> numbers = {{"dirty_mib", dirty_mib()}};
    const MonotonicTime begun = monotonic_now();
    play(work, clients, round, count, seat);
    const Nanoseconds elapsed = monotonic_now() - begun;
    const Result<int> disturbed = (*disturbance)->end();
    if (!disturbed && score.error.empty()) {
        failed(work, clients, seat, disturbed.error());
    }

    numbers["left_processes"] = static_cast<double>(children_settle(children, settle_max));
    const Nanoseconds cpu = descendants_cpu_time() - cpu_before +
                            (in_process ? own_cpu_time() - own_before : Nanoseconds(0));
    score.elapsed += elapsed;
    score.cpu += cpu;
    numbers["containers"] = static_cast<double>(score.whole.count() - done_before);
    numbers["elapsed_us"] = microseconds(elapsed);
    if (work.adversity == Adversity::none) {
        numbers["cpu_us"] = microseconds(cpu);
    } else {
        numbers["adversity_rounds"] =
            disturbed ? *disturbed : 0;  // Its own work is not the turn's.
    }
    if (const Result<double> stall =
            seat.is_davit() ? daemon->loop_longest_ms() : Error(ErrorKind::unsupported, "");
        stall) {
        numbers["loop_longest_us"] = *stall * 1e3;
        score.loop_longest_ms = std::max(score.loop_longest_ms, *stall);
    }
    if (daemon != nullptr) {
        numbers["share_kib"] = static_cast<double>(daemon->family_share_kib());
    }
    numbers["round"] = round;
    write("turn", work, clients, seat, {}, numbers);
}

void Match::play(const Work& work, int clients, int round, int count, Seat& seat) {
    Score& score = seat.score(work);
    std::vector<std::thread> threads;
    for (int client = 0; client < clients; ++client) {
        threads.emplace_back([&, this, client] {
            const Cycle& cycle = seat.clients[static_cast<std::size_t>(client)];
            for (int done = 0; done < count; ++done) {
                Result<Timing> timing = cycle();
                const std::lock_guard guard(lock_);
                if (!timing && score.error.empty()) {
                    failed(work, clients, seat, timing.error());
                }
                if (!score.error.empty()) {
                    return;
                }
                score.whole.add(timing->whole);
                for (const Step& step : timing->steps) {
                    score.steps[step.name].add(step.duration);
                }
                record(work, clients, round, seat, *timing);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

void Match::record(
    const Work& work, int clients, int round, const Seat& seat, const Timing& timing) {
    std::map<std::string, double> numbers = {{"round", round},
                                             {"whole_us", microseconds(timing.whole)}};
    for (const Step& step : timing.steps) {
        numbers[step.name + "_us"] = microseconds(step.duration);
    }
    write("sample", work, clients, seat, {}, numbers);
    for (const Step& phase : timing.phases) {
        write("phase",
              work,
              clients,
              seat,
              {{"phase", phase.name}},
              {{"round", round},
               {"start_us", microseconds(phase.start)},
               {"duration_us", microseconds(phase.duration)}});
    }
}

void Match::clean(const Work& work, std::vector<Seat>& seats) {
    for (Seat& seat : seats) {
        seat.clients.clear();
        const Result<int> left = seat.entrant->contender->clean();
        if (left && *left == 0) {
            continue;
        }
        const std::string reason = left ? fmt::format("left {} containers behind", *left)
                                        : "cannot be cleaned: " + left.error().message();
        // Where it failed, something being left is no news.
        if (!left || seat.absent.empty()) {
            fmt::print("{} {}\n", seat.entrant->name, reason);
        }
        write("left", work, 0, seat, {{"reason", reason}}, {});
    }
}

void Match::print(const Work& work, int clients, std::vector<Seat>& seats) {
    std::vector<ScoreRow> rows;
    std::vector<AdversityRow> hard;
    for (Seat& seat : seats) {
        if (seat.absent.empty()) {
            const Score& plain = seat.scores[Adversity::none];
            rows.push_back({seat.entrant->name, &plain, seat.is_davit()});
            hard.push_back({seat.entrant->name, &seat.scores});
            board_.add(work, clients, seat.entrant->name, plain);
        }
    }
    print_scores(work, clients, rows);
    print_adversities(work, clients, options_.adversities, hard);
}

}  // namespace davit::bench
