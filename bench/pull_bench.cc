/// davit_bench_pull: how long a pull takes, davit beside dockerd, from the same registry.
///
///   davit_bench_pull --registry HOST:PORT [--davit PATH] [--rounds N] [--json FILE] NAME:TAG...
///
/// The engines take turns; each has its data root on its own fresh ext4 (support/loop_fs.h). Before
/// each pull the image is removed and everything is synced. MB/s counts uncompressed bytes, as the
/// engine reports the image's size (10^6 bytes). `scripts/bench pull` makes the registry and
/// images.
#include <getopt.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "bench/support/engine.h"
#include "bench/support/loop_fs.h"
#include "bench/support/workspace.h"

namespace davit::bench {
namespace {

constexpr std::uint64_t data_root_bytes = 8ULL << 30;

struct Options {
    std::string registry;
    std::string davit = "build/release/cli/davit";
    int rounds = 3;
    std::string json;
    std::vector<std::string> images;
};

/// An engine on its own file system. Members are released in the reverse order: daemon first.
struct Puller {
    std::string name;
    LoopFs filesystem;
    Engine engine;
};

struct Pulled {
    Samples samples;
    double bytes = 0;
    std::string error;
};

using Results = std::map<std::pair<std::string, std::string>, Pulled>;  // (image, engine).

Result<double> image_bytes(const Engine& engine, const std::string& reference) {
    const std::string target = fmt::format("/v1.41/images/{}/json", reference);
    TRY(std::string json, http_call(engine.socket(), {"GET", target, "", ""}));
    const std::size_t at = json.find("\"Size\":");
    if (at == std::string::npos) {
        return Error(ErrorKind::corrupt, "no Size in the image's inspect");
    }
    return std::atof(json.c_str() + at + 7);
}

Result<void> pull_once(const Puller& puller, const std::string& reference, Pulled& pulled) {
    TRY_VOID(puller.engine.remove_image(reference));
    sync();
    const std::size_t colon = reference.rfind(':');
    const MonotonicTime begun = monotonic_now();
    TRY_VOID(puller.engine.pull_image(reference.substr(0, colon), reference.substr(colon + 1)));
    pulled.samples.add(monotonic_now() - begun);
    TRY(pulled.bytes, image_bytes(puller.engine, reference));
    return ok;
}

Result<Puller> puller_make(const Workspace& workspace,
                           const std::string& name,
                           const std::string& program) {
    TRY(std::string directory, workspace.directory(name));
    TRY(LoopFs filesystem,
        LoopFs::make(directory + "/disk", directory + "/mount", data_root_bytes));
    const EngineConfig config = {program, directory, filesystem.path() + "/data", ""};
    Result<Engine> engine =
        name == "dockerd" ? Engine::start_dockerd(config) : Engine::start_davit(config);
    if (!engine) {
        return std::move(engine).error();
    }
    return Puller{name, std::move(filesystem), *std::move(engine)};
}

void print(const Options& options, const std::vector<Puller>& pullers, Results& results) {
    Table table({"image", "engine", "n", "best s", "p50 s", "MB/s", "p50 / davit"});
    for (const std::string& image : options.images) {
        const Pulled& reference = results[{image, "davit"}];
        for (const Puller& puller : pullers) {
            const Pulled& pulled = results[{image, puller.name}];
            if (pulled.samples.empty()) {
                fmt::print("{} by {} failed: {}\n", image, puller.name, pulled.error);
                continue;
            }
            const double p50_s = pulled.samples.percentile_ms(0.5) / 1e3;
            const double ratio =
                reference.samples.empty() ? -1 : p50_s * 1e3 / reference.samples.percentile_ms(0.5);
            table.add({image,
                       puller.name,
                       fmt::format("{}", pulled.samples.count()),
                       number_text(pulled.samples.percentile_ms(0.01) / 1e3),
                       number_text(p50_s),
                       number_text(pulled.bytes / 1e6 / p50_s),
                       number_text(ratio)});
        }
    }
    table.print();
    for (const Puller& puller : pullers) {
        fmt::print("resident after: {} {:.1f} MiB\n",
                   puller.name,
                   static_cast<double>(puller.engine.rss_kib()) / 1024);
    }
}

Result<void> run(const Options& options) {
    JsonLines json;
    if (!options.json.empty()) {
        TRY_VOID(json.open(options.json));
    }
    TRY(Workspace workspace, Workspace::make("pull"));
    std::vector<Puller> pullers;
    const std::pair<std::string, std::string> programs[] = {{"davit", options.davit},
                                                            {"dockerd", "dockerd"}};
    for (const auto& [name, program] : programs) {
        Result<Puller> made = puller_make(workspace, name, program);
        if (made) {
            pullers.push_back(*std::move(made));
        } else {
            fmt::print("not measured: {}: {}\n", name, made.error().message());
        }
    }
    Results results;
    for (int round = 0; round < options.rounds; ++round) {
        for (const std::string& image : options.images) {
            for (const Puller& puller : pullers) {
                Pulled& pulled = results[{image, puller.name}];
                const std::string reference = options.registry + "/" + image;
                if (Result<void> done = pull_once(puller, reference, pulled); !done) {
                    pulled.error = done.error().message();
                    continue;
                }
                json.write({{"bench", "pull"}, {"engine", puller.name}, {"image", image}},
                           {{"round", round},
                            {"bytes", pulled.bytes},
                            {"whole_ms", pulled.samples.last_ms()}});
                TRY_VOID(puller.engine.remove_image(reference));
            }
        }
    }
    print(options, pullers, results);
    return ok;
}

bool parse(int argc, char** argv, Options& options) {
    const option known[] = {{"registry", required_argument, nullptr, 'g'},
                            {"davit", required_argument, nullptr, 'd'},
                            {"rounds", required_argument, nullptr, 'r'},
                            {"json", required_argument, nullptr, 'j'},
                            {nullptr, 0, nullptr, 0}};
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (found) {
            case 'g':
                options.registry = optarg;
                break;
            case 'd':
                options.davit = optarg;
                break;
            case 'r':
                options.rounds = std::atoi(optarg);
                break;
            case 'j':
                options.json = optarg;
                break;
            default:
                return false;
        }
    }
    options.images.assign(argv + optind, argv + argc);
    return !options.registry.empty() && !options.images.empty() && options.rounds > 0;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    if (!davit::bench::parse(argc, argv, options)) {
        fmt::print(stderr,
                   "usage: {} --registry HOST:PORT [--davit PATH] [--rounds N] [--json FILE] "
                   "NAME:TAG...\n",
                   argv[0]);
        return 2;
    }
    if (davit::Result<void> done = davit::bench::run(options); !done) {
        fmt::print(stderr, "{}\n", done.error().message());
        return 1;
    }
    return 0;
}
