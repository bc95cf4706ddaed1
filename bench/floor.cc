/// davit_bench_floor: the floor alone, with its phases. See support/floor.h.
///
///   davit_bench_floor [--iterations N] [--parallel N] [--isolation full|bare] [--pause-ms N]
///
/// --pause-ms leaves the kernel idle between containers: what is amortised in a tight loop (grace
/// periods, caches, the processor's clock) is then paid by each.
#include "bench/support/floor.h"

#include <getopt.h>
#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "bench/support/workspace.h"

namespace davit::bench {
namespace {

struct Options {
    int iterations = 500;
    int parallel = 1;
    int pause_ms = 0;
    std::vector<FloorIsolation> isolations = {FloorIsolation::bare, FloorIsolation::full};
};

struct Outcome {
    Samples whole;
    std::array<Samples, floor_phase_count> phases;
    std::optional<Error> error;
    Nanoseconds elapsed{};
};

void measure_one(const Floor::Config& config,
                 const Options& options,
                 std::mutex& lock,
                 Outcome& outcome) {
    Result<Floor> floor = Floor::make(config);
    for (int done = 0; floor && done < options.iterations; ++done) {
        if (options.pause_ms > 0) {
            poll(nullptr, 0, options.pause_ms);
        }
        Result<FloorTimes> times = floor->run();
        const std::lock_guard guard(lock);
        if (!times) {
            outcome.error = times.error();
            return;
        }
        outcome.whole.add(times->whole);
        for (std::size_t index = 0; index < floor_phase_count; ++index) {
            outcome.phases[index].add(times->phases[index]);
        }
    }
    if (!floor) {
        const std::lock_guard guard(lock);
        outcome.error = floor.error();
    }
}

Outcome measure(const Floor::Config& config, const Options& options) {
    Outcome outcome;
    std::mutex lock;
    const MonotonicTime begun = monotonic_now();
    std::vector<std::thread> clients;
    for (int client = 0; client < options.parallel; ++client) {
        clients.emplace_back([&] { measure_one(config, options, lock, outcome); });
    }
    for (std::thread& client : clients) {
        client.join();
    }
    outcome.elapsed = monotonic_now() - begun;
    return outcome;
}

void print(const Outcome& outcome, FloorIsolation isolation, int parallel) {
    const double seconds = static_cast<double>(outcome.elapsed.count()) / 1e9;
    fmt::print("\n{} isolation, {} client(s): {:.0f} containers/s\n",
               isolation == FloorIsolation::full ? "full" : "bare",
               parallel,
               static_cast<double>(outcome.whole.count()) / seconds);
    Table table({"phase, ms", "p50", "p95", "p99"});
    const auto row = [&table](std::string_view name, const Samples& samples) {
        table.add({std::string(name),
                   number_text(samples.percentile_ms(0.50)),
                   number_text(samples.percentile_ms(0.95)),
                   number_text(samples.percentile_ms(0.99))});
    };
    row("whole", outcome.whole);
    for (std::size_t index = 0; index < floor_phase_count; ++index) {
        row(floor_phase_name(static_cast<FloorPhase>(index)), outcome.phases[index]);
    }
    table.print();
}

Result<void> run(const Options& options) {
    TRY(Workspace workspace, Workspace::make("floor"));
    TRY(std::string lower, workspace.busybox_rootfs());
    for (const FloorIsolation isolation : options.isolations) {
        Outcome outcome = measure({lower, workspace.path(), isolation}, options);
        if (outcome.error) {
            return *std::move(outcome.error);
        }
        print(outcome, isolation, options.parallel);
    }
    return ok;
}

bool parse(int argc, char** argv, Options& options) {
    const option known[] = {{"iterations", required_argument, nullptr, 'n'},
                            {"parallel", required_argument, nullptr, 'p'},
                            {"pause-ms", required_argument, nullptr, 'm'},
                            {"isolation", required_argument, nullptr, 'i'},
                            {nullptr, 0, nullptr, 0}};
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        if (found == 'n') {
            options.iterations = std::atoi(optarg);
        } else if (found == 'p') {
            options.parallel = std::atoi(optarg);
        } else if (found == 'm') {
            options.pause_ms = std::atoi(optarg);
        } else if (found == 'i' && std::string_view(optarg) == "full") {
            options.isolations = {FloorIsolation::full};
        } else if (found == 'i' && std::string_view(optarg) == "bare") {
            options.isolations = {FloorIsolation::bare};
        } else {
            return false;
        }
    }
    return optind == argc && options.iterations > 0 && options.parallel > 0;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    if (!davit::bench::parse(argc, argv, options)) {
        fmt::print(stderr,
                   "usage: {} [--iterations N] [--parallel N] [--isolation full|bare]\n       "
                   "[--pause-ms N]\n",
                   argv[0]);
        return 2;
    }
    if (davit::Result<void> done = davit::bench::run(options); !done) {
        fmt::print(stderr, "{}\n", done.error().message());
        return 1;
    }
    return 0;
}
