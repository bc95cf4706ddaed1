/// davit_bench_startup: how long a container takes from "run" to "gone", by engine.
///
///   davit_bench_startup [--davit PATH] [--rounds N] [--clients LIST] [--seconds N] [--only TEXT]
///                       [--explicit-remove] [--json FILE]
///
/// Every contender runs `true` in a fresh container of the same busybox image on network none. With
/// one client the contenders take turns, one container each per round; with more, one block of
/// containers each per round. Rates count containers finished over the block's wall time.
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/contenders.h"

namespace davit::bench {
namespace {

struct Options {
    ContenderOptions contenders = {"build/release/cli/davit", false};
    int rounds = 60;
    std::vector<int> clients = {1, 16};
    int block_rounds = 3;
    double block_seconds = 1.5;
    std::string only;
};

struct Score {
    Samples samples;
    Nanoseconds elapsed{};
    std::string error;

    double rate() const {
        return static_cast<double>(samples.count()) * 1e9 / static_cast<double>(elapsed.count());
    }
};

using Scores = std::map<std::string, Score>;

class Measurement {
  public:
    Measurement(const Options& options, const Field& field, JsonLines& json)
        : options_(options), field_(field), json_(json) {}

    /// Contenders in turns, one container each.
    Scores one_client();

    /// Contenders in turns, one block each; alone gives the sizes of the blocks.
    Scores many_clients(int clients, const Scores& alone);

  private:
    bool chosen(const Contender& contender) const {
        return options_.only.empty() || contender.name.find(options_.only) != std::string::npos;
    }

    void block(const Contender& contender, int clients, int cycles, int round, Score& score);
    void record(const Contender& contender, int clients, int round, Nanoseconds duration);

    const Options& options_;
    const Field& field_;
    JsonLines& json_;
    std::mutex lock_;
};

void Measurement::record(const Contender& contender, int clients, int round, Nanoseconds duration) {
    json_.write({{"bench", "startup"}, {"contender", contender.name}},
                {{"clients", clients},
                 {"round", round},
                 {"whole_us", static_cast<double>(duration.count()) / 1e3}});
}

Scores Measurement::one_client() {
    Scores scores;
    std::map<std::string, Cycle> cycles;
    for (int round = 0; round < options_.rounds; ++round) {
        for (const Contender& contender : field_.contenders()) {
            Score& score = scores[contender.name];
            if (!chosen(contender) || round % contender.stride != 0 || !score.error.empty()) {
                continue;
            }
            if (!cycles.contains(contender.name)) {
                Result<Cycle> made = contender.client_make();
                if (!made) {
                    score.error = made.error().message();
                    continue;
                }
                cycles[contender.name] = *std::move(made);
            }
            Result<Nanoseconds> duration = cycles[contender.name]();
            if (!duration) {
                score.error = duration.error().message();
                continue;
            }
            score.samples.add(*duration);
            score.elapsed += *duration;
            record(contender, 1, round, *duration);
        }
    }
    return scores;
}

void Measurement::block(
    const Contender& contender, int clients, int cycles, int round, Score& score) {
    std::vector<Cycle> clients_made;
    for (int client = 0; client < clients; ++client) {
        Result<Cycle> made = contender.client_make();
        if (!made) {
            score.error = made.error().message();
            return;
        }
        clients_made.push_back(*std::move(made));
    }
    const MonotonicTime begun = monotonic_now();
    std::vector<std::thread> threads;
    for (Cycle& cycle : clients_made) {
        threads.emplace_back([&, this] {
            for (int done = 0; done < cycles; ++done) {
                Result<Nanoseconds> duration = cycle();
                const std::lock_guard guard(lock_);
                if (!duration) {
                    score.error = duration.error().message();
                    return;
                }
                score.samples.add(*duration);
                record(contender, clients, round, *duration);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    score.elapsed += monotonic_now() - begun;
}

Scores Measurement::many_clients(int clients, const Scores& alone) {
    Scores scores;
    for (int round = 0; round < options_.block_rounds; ++round) {
        for (const Contender& contender : field_.contenders()) {
            const auto before = alone.find(contender.name);
            Score& score = scores[contender.name];
            if (!chosen(contender) || !score.error.empty() || before == alone.end() ||
                before->second.samples.empty()) {
                continue;
            }
            // About block_seconds of work for two processors, but two containers per client at
            // least.
            const double guess = options_.block_seconds * 2e3 /
                                 (before->second.samples.percentile_ms(0.5) * clients);
            block(contender, clients, std::clamp(static_cast<int>(guess), 2, 60), round, score);
        }
    }
    return scores;
}

void print(const Scores& scores, const Field& field, int clients) {
    fmt::print("\nrun --rm true, network none, {} client(s)\n", clients);
    Table table({"contender",
                 "n",
                 "p50 ms",
                 "p95 ms",
                 "p99 ms",
                 "per second",
                 "p50 / davit",
                 "rate davit /"});
    const auto reference = scores.find("davit API");
    const bool comparable = reference != scores.end() && !reference->second.samples.empty();
    for (const Contender& contender : field.contenders()) {
        const auto found = scores.find(contender.name);
        if (found == scores.end() || found->second.samples.empty()) {
            continue;
        }
        const Score& score = found->second;
        const double p50 = score.samples.percentile_ms(0.50);
        table.add(
            {contender.name,
             fmt::format("{}", score.samples.count()),
             number_text(p50),
             number_text(score.samples.percentile_ms(0.95)),
             number_text(score.samples.percentile_ms(0.99)),
             number_text(score.rate()),
             number_text(comparable ? p50 / reference->second.samples.percentile_ms(0.5) : -1),
             number_text(comparable ? reference->second.rate() / score.rate() : -1)});
    }
    table.print();
    for (const auto& [name, score] : scores) {
        if (!score.error.empty()) {
            fmt::print("{} failed after {}: {}\n", name, score.samples.count(), score.error);
        }
    }
}

void print_memory(std::string_view when, const Field& field, JsonLines& json) {
    for (const auto& [name, kib] : field.daemons_rss()) {
        fmt::print("resident {}: {} {:.1f} MiB\n", when, name, static_cast<double>(kib) / 1024);
        json.write({{"bench", "rss"}, {"daemon", name}, {"when", std::string(when)}},
                   {{"rss_kib", static_cast<double>(kib)}});
    }
}

/// davit-init lies beside davit, or in the build's own folder for it.
void print_init_size(const std::string& davit) {
    const std::string folder = davit.substr(0, davit.rfind('/') + 1);
    for (const char* place :
         {"davit-init", "libcontainer/davit-init", "libcontainer/init/davit-init"}) {
        struct stat status {};

        if (stat((folder + place).c_str(), &status) == 0) {
            fmt::print("davit-init: {} KiB\n", status.st_size / 1024);
            return;
        }
    }
}

Result<void> run(const Options& options, JsonLines& json) {
    TRY(Workspace workspace, Workspace::make("startup"));
    TRY(std::unique_ptr<Field> field, Field::make(workspace, options.contenders));
    for (const Unavailable& absent : field->unavailable()) {
        fmt::print("not measured: {}: {}\n", absent.name, absent.reason);
    }
    print_memory("before", *field, json);
    print_init_size(options.contenders.davit);

    Measurement measurement(options, *field, json);
    const Scores alone = measurement.one_client();
    for (const int clients : options.clients) {
        print(clients == 1 ? alone : measurement.many_clients(clients, alone), *field, clients);
    }
    print_memory("after", *field, json);
    return ok;
}

bool parse_clients(std::string_view text, std::vector<int>& clients) {
    clients.clear();
    const char* end = text.data() + text.size();
    for (const char* at = text.data(); at < end; ++at) {
        int count = 0;
        const std::from_chars_result parsed = std::from_chars(at, end, count);
        if (parsed.ec != std::errc() || count < 1) {
            return false;
        }
        clients.push_back(count);
        at = parsed.ptr;
    }
    return !clients.empty();
}

CommandLine command_line(Options& options) {
    CommandLine line;
    line.davit(options.contenders.davit)
        .count("rounds", options.rounds)
        .option("clients",
                "1,16",
                [&options](const char* list) { return parse_clients(list, options.clients); })
        .option("seconds",
                "N",
                [&options](const char* text) {
                    options.block_seconds = std::atof(text);
                    return options.block_seconds > 0;
                })
        .text("only", "TEXT", options.only)
        .flag("explicit-remove", options.contenders.explicit_remove);
    return line;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    return davit::bench::command_line(options).run(
        argc, argv, [&options](davit::bench::JsonLines& json) {
            return davit::bench::run(options, json);
        });
}
