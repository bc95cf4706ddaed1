#include "bench/support/image_turns.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace davit::bench {
namespace {

struct ImageScore {
    Samples samples;
    double peak_mib = -1;
    double turn_ms = -1;
    std::string error;
};

class Turns {
  public:
    Turns(std::string bench,
          const std::vector<std::unique_ptr<ImageEngine>>& engines,
          JsonLines& json)
        : bench_(std::move(bench)), engines_(engines), json_(json) {
        for (const auto& engine : engines_) {
            idle_kib_[engine->name()] =
                engine->daemon() == nullptr ? 0 : engine->daemon()->rss_kib();
        }
    }

    void round(const std::vector<ImageWork>& works, int number) {
        for (const ImageWork& work : works) {
            for (const auto& engine : engines_) {
                ImageScore& score = scores_[{work.name, engine->name()}];
                if (Result<void> done = turn(work, *engine, number, score); !done) {
                    score.error = done.error().message();
                }
            }
        }
    }

    void print(const std::vector<ImageWork>& works);

  private:
    Result<void> turn(const ImageWork& work, ImageEngine& engine, int round, ImageScore& score);

    double bytes_of(const std::string& reference) {
        double& bytes = bytes_[reference];
        const Engine* daemon = engines_.front()->daemon();
        if (bytes <= 0 && daemon != nullptr) {
            const Result<double> told = daemon->image_bytes(reference);
            bytes = told ? *told : -1;
        }
        return bytes;
    }

    std::string bench_;
    const std::vector<std::unique_ptr<ImageEngine>>& engines_;
    JsonLines& json_;
    std::map<std::string, long> idle_kib_;
    std::map<std::string, double> bytes_;
    std::map<std::pair<std::string, std::string>, ImageScore> scores_;  // (work, engine).
};

Result<void> Turns::turn(const ImageWork& work, ImageEngine& engine, int round, ImageScore& score) {
    TRY_VOID(work.prepare(engine));
    sync();
    const Engine* daemon = engine.daemon();
    if (daemon != nullptr) {
        TRY_VOID(daemon->peak_reset());
    }
    if (engine.name() == "davit") {
        TRY_VOID(daemon->loop_reset());
    }
    const MonotonicTime begun = monotonic_now();
    TRY_VOID(work.act(engine));
    score.samples.add(monotonic_now() - begun);
    std::map<std::string, double> numbers = {{"round", round},
                                             {"whole_ms", score.samples.last_ms()}};
    if (engine.name() == "davit") {
        TRY(const double turn_ms, daemon->loop_longest_ms());
        score.turn_ms = std::max(score.turn_ms, turn_ms);
        numbers["loop_longest_ms"] = turn_ms;
    }
    if (daemon != nullptr) {
        const double peak_kib =
            static_cast<double>(daemon->peak_kib() - idle_kib_.at(engine.name()));
        score.peak_mib = std::max(score.peak_mib, peak_kib / 1024);
        numbers["peak_above_idle_kib"] = peak_kib;
    }
    numbers["bytes"] = bytes_of(work.reference);
    json_.write({{"bench", bench_}, {"engine", engine.name()}, {"work", work.name}}, numbers);
    return ok;
}

void Turns::print(const std::vector<ImageWork>& works) {
    Table table({bench_,
                 "engine",
                 "n",
                 "best s",
                 "p50 s",
                 "MB/s",
                 "p50 / davit",
                 "peak MiB above idle",
                 "longest turn ms"});
    for (const ImageWork& work : works) {
        const ImageScore& reference = scores_[{work.name, "davit"}];
        for (const auto& engine : engines_) {
            const ImageScore& score = scores_[{work.name, engine->name()}];
            if (!score.error.empty()) {
                fmt::print("{} by {} failed after {}: {}\n",
                           work.name,
                           engine->name(),
                           score.samples.count(),
                           score.error);
            }
            if (score.samples.empty()) {
                continue;
            }
            const double p50_ms = score.samples.percentile_ms(0.5);
            const double ratio =
                reference.samples.empty() ? -1 : p50_ms / reference.samples.percentile_ms(0.5);
            table.add({work.name,
                       engine->name(),
                       fmt::format("{}", score.samples.count()),
                       number_text(score.samples.percentile_ms(0.01) / 1e3),
                       number_text(p50_ms / 1e3),
                       number_text(bytes_of(work.reference) / 1e3 / p50_ms),
                       number_text(ratio),
                       number_text(score.peak_mib),
                       number_text(score.turn_ms)});
        }
    }
    table.print();
    for (const auto& engine : engines_) {
        if (engine->daemon() != nullptr) {
            fmt::print("resident: {} {:.1f} MiB idle, {:.1f} after\n",
                       engine->name(),
                       static_cast<double>(idle_kib_[engine->name()]) / 1024,
                       static_cast<double>(engine->daemon()->rss_kib()) / 1024);
        }
    }
}

}  // namespace

void image_turns(const std::string& bench,
                 const std::vector<ImageWork>& works,
                 const std::vector<std::unique_ptr<ImageEngine>>& engines,
                 int rounds,
                 JsonLines& json) {
    Turns turns(bench, engines, json);
    for (int round = 0; round < rounds; ++round) {
        turns.round(works, round);
    }
    turns.print(works);
}

}  // namespace davit::bench
