/// davit_bench_load: how long load and save take, davit beside dockerd and podman.
///
///   davit_bench_load [--davit PATH] [--rounds N] [--json FILE] NAME:TAG=ARCHIVE...
///
/// ARCHIVE is a file in the form of docker save, which has NAME:TAG in it. The engines take turns;
/// each has its data root on its own fresh ext4 (support/loop_fs.h). Before each load the image is
/// removed and everything is synced; a save is of what was loaded, into nothing. `scripts/bench
/// load` makes the archives.
#include <fmt/format.h>

#include "bench/support/command_line.h"
#include "bench/support/image_turns.h"

namespace davit::bench {
namespace {

struct Options {
    std::string davit = "build/release/cli/davit";
    int rounds = 3;
    std::vector<std::string> images;
};

Result<void> works_add(std::vector<ImageWork>& works, const std::string& image) {
    const std::size_t equals = image.find('=');
    if (equals == std::string::npos) {
        return Error(ErrorKind::invalid_argument, "not NAME:TAG=ARCHIVE: " + image);
    }
    const std::string reference = image.substr(0, equals);
    const std::string archive = image.substr(equals + 1);
    auto loaded = [reference, archive](ImageEngine& engine) -> Result<void> {
        return engine.has(reference) ? Result<void>(ok) : engine.load(archive);
    };
    works.push_back({"load " + reference,
                     reference,
                     [reference](ImageEngine& engine) { return engine.remove(reference); },
                     [archive](ImageEngine& engine) { return engine.load(archive); }});
    works.push_back({"save " + reference, reference, loaded, [reference](ImageEngine& engine) {
                         return engine.save(reference);
                     }});
    return ok;
}

Result<void> run(const Options& options, JsonLines& json) {
    std::vector<ImageWork> works;
    for (const std::string& image : options.images) {
        TRY_VOID(works_add(works, image));
    }
    TRY(const Workspace workspace, Workspace::make("load"));
    TRY(const auto engines, image_engines_make(workspace, options.davit));
    image_turns("load", works, engines, options.rounds, json);
    return ok;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    davit::bench::CommandLine line;
    line.davit(options.davit)
        .count("rounds", options.rounds)
        .operands("NAME:TAG=ARCHIVE", options.images);
    return line.run(argc, argv, [&options](davit::bench::JsonLines& json) {
        return davit::bench::run(options, json);
    });
}
