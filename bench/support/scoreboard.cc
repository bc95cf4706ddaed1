#include "bench/support/scoreboard.h"

#include <algorithm>

#include <fmt/format.h>

namespace davit::bench {
namespace {

constexpr const char* step_names[] = {"create", "start", "first", "wait", "rm"};

std::string title_with_running(const Work& work, int clients) {
    const std::string running =
        work.running > 0 ? fmt::format(", {} containers running", work.running) : "";
    return title_of(work, clients) + running;
}

}  // namespace

std::string title_of(const Work& work, int clients) {
    return fmt::format(
        "{}, network {}, {} client(s)", name_of(work.scenario), name_of(work.network), clients);
}

void print_scores(const Work& work, int clients, const std::vector<ScoreRow>& rows) {
    fmt::print("\n{}; ms\n", title_with_running(work, clients));
    std::vector<std::string> heads = {"contender",
                                      "n",
                                      "p50",
                                      "p95",
                                      "p99",
                                      "max",
                                      "p50 / davit",
                                      "per second",
                                      "CPU each",
                                      "loop's longest"};
    for (const char* step : step_names) {
        heads.push_back(fmt::format("{} p50", step));
    }
    Table table(std::move(heads));
    const auto davit = std::find_if(rows.begin(), rows.end(), [](const ScoreRow& row) {
        return row.is_davit && !row.score->whole.empty();
    });
    for (const ScoreRow& row : rows) {
        const Score& score = *row.score;
        if (score.whole.empty()) {
            continue;
        }
        const auto count = static_cast<double>(score.whole.count());
        std::vector<std::string> cells = {row.name, fmt::format("{}", score.whole.count())};
        for (const double fraction : {0.5, 0.95, 0.99, 1.0}) {
            cells.push_back(number_text(score.whole.percentile_ms(fraction)));
        }
        cells.push_back(number_text(davit == rows.end()
                                        ? -1
                                        : score.whole.percentile_ms(0.5) /
                                              davit->score->whole.percentile_ms(0.5)));
        cells.push_back(number_text(score.rate()));
        cells.push_back(number_text(static_cast<double>(score.cpu.count()) / 1e6 / count));
        cells.push_back(number_text(score.loop_longest_ms));
        for (const char* step : step_names) {
            const auto found = score.steps.find(step);
            cells.push_back(
                number_text(found == score.steps.end() ? -1 : found->second.percentile_ms(0.5)));
        }
        table.add(std::move(cells));
    }
    table.print();
    for (const ScoreRow& row : rows) {
        if (!row.score->error.empty()) {
            fmt::print(
                "{}: failed after {}: {}\n", row.name, row.score->whole.count(), row.score->error);
        }
    }
    std::fflush(stdout);
}

void print_adversities(const Work& work,
                       int clients,
                       const std::vector<Adversity>& adversities,
                       const std::vector<AdversityRow>& rows) {
    if (adversities.size() < 2) {
        return;
    }
    fmt::print("\n{}: p50 in ms, and how many times that with\n",
               title_with_running(work, clients));
    std::vector<std::string> heads = {"contender"};
    for (const Adversity adversity : adversities) {
        heads.emplace_back(name_of(adversity));
    }
    Table table(std::move(heads));
    std::vector<std::string> reasons;
    for (const AdversityRow& row : rows) {
        const Samples& plain = row.scores->at(Adversity::none).whole;
        if (plain.empty()) {
            continue;
        }
        std::vector<std::string> cells = {row.name};
        for (const Adversity adversity : adversities) {
            const auto found = row.scores->find(adversity);
            const bool known = found != row.scores->end() && !found->second.whole.empty();
            const double p50 = known ? found->second.whole.percentile_ms(0.5) : -1;
            const bool ratio = known && adversity != Adversity::none;
            cells.push_back(number_text(ratio ? p50 / plain.percentile_ms(0.5) : p50));
            if (adversity != Adversity::none && found != row.scores->end() &&
                !found->second.error.empty()) {
                const std::size_t count = found->second.whole.count();
                reasons.push_back(fmt::format("{}: {}: {}{}",
                                              row.name,
                                              name_of(adversity),
                                              count == 0 ? "" : fmt::format("after {}: ", count),
                                              found->second.error));
            }
        }
        table.add(std::move(cells));
    }
    table.print();
    for (const std::string& reason : reasons) {
        fmt::print("{}\n", reason);
    }
    std::fflush(stdout);
}

void RunningBoard::add(const Work& work,
                       int clients,
                       const std::string& contender,
                       const Score& score) {
    const std::string title = title_of(work, clients);
    if (std::find(titles_.begin(), titles_.end(), title) == titles_.end()) {
        titles_.push_back(title);
    }
    counts_[work.running] = true;
    if (!score.whole.empty()) {
        cells_[title][contender][work.running] = {score.whole.percentile_ms(0.5), score.rate()};
    }
}

void RunningBoard::print(const std::map<std::string, std::map<int, double>>& shares) const {
    if (counts_.size() < 2) {
        return;
    }
    for (const std::string& title : titles_) {
        const auto found = cells_.find(title);
        if (found == cells_.end()) {
            continue;
        }
        fmt::print("\n{}, by the number of containers that already run\n", title);
        std::vector<std::string> heads = {"contender"};
        for (const auto& [count, known] : counts_) {
            heads.push_back(fmt::format("{}: p50 ms", count));
            heads.push_back("per second");
        }
        heads.emplace_back("p50, most / least running");
        Table table(std::move(heads));
        for (const auto& [contender, by_count] : found->second) {
            std::vector<std::string> cells = {contender};
            for (const auto& [count, known] : counts_) {
                const auto cell = by_count.find(count);
                const Cell shown = cell == by_count.end() ? Cell() : cell->second;
                cells.push_back(number_text(shown.p50_ms));
                cells.push_back(number_text(shown.rate));
            }
            cells.push_back(number_text(by_count.size() < 2 ? -1
                                                            : by_count.rbegin()->second.p50_ms /
                                                                  by_count.begin()->second.p50_ms));
            table.add(std::move(cells));
        }
        table.print();
    }
    if (!shares.empty()) {
        fmt::print("\nmemory of the engine for each container that runs\n");
        Table table({"engine", "containers", "KiB each"});
        for (const auto& [engine, by_count] : shares) {
            for (const auto& [count, kib] : by_count) {
                table.add({engine, fmt::format("{}", count), fmt::format("{:.0f}", kib)});
            }
        }
        table.print();
    }
}

}  // namespace davit::bench
