/// davit_bench_pull: how long a pull takes, davit beside dockerd and podman, from the same
/// registry; and what it costs who starts containers meanwhile.
///
///   davit_bench_pull --registry HOST:PORT [--davit PATH] [--rounds N] [--beside NAME:TAG]
///                    [--json FILE] NAME:TAG...
///
/// The engines take turns; each has its data root on its own fresh ext4 (support/loop_fs.h). Before
/// each pull the images are removed and everything is synced. With --beside containers are started
/// one after the other, first with nothing else to do and then while this image is pulled; a start
/// is the API's create and start. `scripts/bench pull` makes the registry and images.
#include <unistd.h>

#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "bench/support/api_client.h"
#include "bench/support/command_line.h"
#include "bench/support/image_turns.h"

namespace davit::bench {
namespace {

constexpr const char* started_image = "davit-bench:latest";
constexpr int quiet_starts = 100;

struct Options {
    std::string registry;
    std::string davit = "build/release/cli/davit";
    int rounds = 3;
    std::string beside;
    std::vector<std::string> images;
};

struct Starts {
    Samples quiet;
    Samples beside;
};

Result<void> start_once(ApiClient& client, Samples& samples) {
    TRY(const ApiOutcome outcome, client.run({started_image, {"true"}, "", Network::none, true}));
    if (outcome.code != 0) {
        return Error(ErrorKind::internal, "true did not end with 0");
    }
    const std::vector<Step>& steps = outcome.timing.steps;  // create, start.
    samples.add(steps[0].duration + steps[1].duration);
    return ok;
}

Result<void> starts_beside(ImageEngine& engine, const std::string& reference, Starts& starts) {
    TRY(ApiClient client, ApiClient::connect(engine.daemon()->socket()));
    TRY_VOID(engine.remove(reference));
    sync();
    for (int i = 0; i < quiet_starts; ++i) {
        TRY_VOID(start_once(client, starts.quiet));
    }
    std::atomic<bool> pulling = true;
    Result<void> pulled = ok;
    std::thread pull([&] {
        pulled = engine.pull(reference);
        pulling = false;
    });
    Result<void> started = ok;
    while (pulling && started) {
        started = start_once(client, starts.beside);
    }
    pull.join();
    TRY_VOID(std::move(pulled));
    return started;
}

Result<void> starts_measure(const Options& options,
                            const std::vector<std::unique_ptr<ImageEngine>>& engines,
                            JsonLines& json) {
    const std::string reference = options.registry + "/" + options.beside;
    TRY(const std::string tar, Workspace::busybox_tar());
    Table table({"start beside a pull of " + options.beside,
                 "n",
                 "quiet p50 ms",
                 "p95",
                 "beside p50 ms",
                 "p95",
                 "p50 / quiet"});
    for (const auto& engine : engines) {
        if (engine->daemon() == nullptr) {
            continue;
        }
        TRY_VOID(engine->daemon()->import_image(tar, started_image));
        Starts starts;
        for (int round = 0; round < options.rounds; ++round) {
            TRY_VOID(starts_beside(*engine, reference, starts));
        }
        const double quiet = starts.quiet.percentile_ms(0.5);
        const double beside = starts.beside.percentile_ms(0.5);
        table.add({engine->name(),
                   fmt::format("{}", starts.beside.count()),
                   number_text(quiet),
                   number_text(starts.quiet.percentile_ms(0.95)),
                   number_text(beside),
                   number_text(starts.beside.percentile_ms(0.95)),
                   number_text(beside / quiet)});
        json.write(
            {{"bench", "start beside pull"}, {"engine", engine->name()}, {"image", options.beside}},
            {{"quiet_p50_ms", quiet}, {"beside_p50_ms", beside}});
    }
    table.print();
    return ok;
}

Result<void> run(const Options& options, JsonLines& json) {
    if (options.registry.empty()) {
        return Error(ErrorKind::invalid_argument, "--registry is missing");
    }
    TRY(const Workspace workspace, Workspace::make("pull"));
    TRY(const auto engines, image_engines_make(workspace, options.davit));
    std::vector<std::string> references;
    for (const std::string& image : options.images) {
        references.push_back(options.registry + "/" + image);
    }
    // All of them: one image may have another's layers.
    auto remove = [references](ImageEngine& engine) -> Result<void> {
        for (const std::string& each : references) {
            TRY_VOID(engine.remove(each));
        }
        return ok;
    };
    std::vector<ImageWork> works;
    for (const std::string& image : options.images) {
        const std::string reference = options.registry + "/" + image;
        auto pull = [reference](ImageEngine& engine) { return engine.pull(reference); };
        works.push_back({image, reference, remove, pull});
    }
    image_turns("pull", works, engines, options.rounds, json);
    if (!options.beside.empty()) {
        TRY_VOID(starts_measure(options, engines, json));
    }
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    davit::bench::CommandLine line;
    line.text("registry", "HOST:PORT", options.registry)
        .davit(options.davit)
        .count("rounds", options.rounds)
        .text("beside", "NAME:TAG", options.beside)
        .operands("NAME:TAG", options.images);
    return line.run(argc, argv, [&options](davit::bench::JsonLines& json) {
        return davit::bench::run(options, json);
    });
}
