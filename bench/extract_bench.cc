/// davit_bench_extract: what unpacking a layer costs, davit beside tar, and stage by stage.
///
///   davit_bench_extract [--rounds N] [--json FILE] [--only TEXT] LAYER...
///
/// LAYER is a layer's archive, plain or compressed. Everything is read from the page cache and
/// written to a fresh ext4 (support/loop_fs.h), one contender after the other, round after round;
/// what was written is removed and synced between two. "davit, whole" is
/// jobs/image/layer_pipeline.h into the overlay driver, as in a pull: both digests and the recipe
/// included. Below it is each of its stages alone. The least that a pipeline can take is what its
/// slowest stage takes, or the processor time of all of them by the number of processors. MB/s
/// counts uncompressed bytes; "cpu s" is the processor time, that of children included and that of
/// the kernel's own threads not. `scripts/bench extract` makes the layers.
/// --only: just what has TEXT in its name.
#include <fcntl.h>
#include <getopt.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "bench/bench.h"
#include "bench/support/loop_fs.h"
#include "bench/support/process.h"
#include "bench/support/workspace.h"
#include "drivers/graph/overlay/overlay_driver.h"
#include "graph/layer_extract.h"
#include "jobs/image/layer_pipeline.h"
#include "reactor/base/fd.h"
#include "reactor/loop.h"
#include "reactor/offload.h"

namespace davit::bench {
namespace {

constexpr std::uint64_t disk_bytes = 8ULL << 30;
constexpr std::size_t chunk_bytes = limits::layer_inflate_bytes;

struct Options {
    int rounds = 3;
    std::string json;
    std::string only;
    std::vector<std::string> layers;
};

using Bytes = std::span<const std::uint8_t>;

/// Read a file to its end, piece by piece.
Result<void> each_piece(const std::string& path, const std::function<Result<void>(Bytes)>& take) {
    TRY(const Fd file, Fd::open(path, O_RDONLY));
    std::vector<std::uint8_t> buffer(chunk_bytes);
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0) {
            return Error::from_errno(errno, "read", path);
        }
        if (got == 0) {
            return ok;
        }
        TRY_VOID(take(Bytes(buffer).first(static_cast<std::size_t>(got))));
    }
}

class FileSource final : public LayerSource {
  public:
    explicit FileSource(Fd file) : file_(std::move(file)) {}

    Task<std::size_t> read(std::span<char> buffer) override {
        auto fill = [this, buffer]() -> Result<std::size_t> {
            const ssize_t got = ::read(file_.get(), buffer.data(), buffer.size());
            if (got < 0) {
                return Error::from_errno(errno, "read");
            }
            return static_cast<std::size_t>(got);
        };
        co_return co_await offload(std::move(fill));
    }

  private:
    Fd file_;
};

/// One layer in both forms, and where it is unpacked.
struct Layer {
    std::string name;
    std::string blob;
    std::string plain;
    bool compressed = false;
    double megabytes = 0;
};

struct Disk {
    std::string path;
    OverlayDriver& driver;
};

Result<void> inflate_to(const std::string& path, const std::function<Result<void>(Bytes)>& take) {
    Inflate inflate;
    std::vector<std::uint8_t> out(chunk_bytes);
    TRY_VOID(each_piece(path, [&](Bytes input) -> Result<void> {
        for (bool more = true; more;) {
            TRY(const InflateProgress progress, inflate.step(input, out));
            input = input.subspan(progress.consumed);
            more = !input.empty() || progress.produced == out.size();
            TRY_VOID(take(Bytes(out).first(progress.produced)));
        }
        return ok;
    }));
    return inflate.finish();
}

Result<Layer> layer_make(const Workspace& workspace, const std::string& path) {
    Layer layer;
    layer.blob = path;
    layer.name = path.substr(path.rfind('/') + 1).substr(0, 12);
    layer.plain = workspace.path() + "/" + layer.name + ".tar";
    TRY(const Fd plain, Fd::open(layer.plain, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    std::uint64_t bytes = 0;
    TRY_VOID(inflate_to(path, [&](Bytes piece) -> Result<void> {
        bytes += piece.size();
        while (!piece.empty()) {
            const ssize_t put = ::write(plain.get(), piece.data(), piece.size());
            if (put < 0) {
                return Error::from_errno(errno, "write", layer.plain);
            }
            piece = piece.subspan(static_cast<std::size_t>(put));
        }
        return ok;
    }));

    struct stat status {};

    if (::stat(path.c_str(), &status) != 0) {
        return Error::from_errno(errno, "stat", path);
    }
    layer.compressed = static_cast<std::uint64_t>(status.st_size) < bytes;
    layer.megabytes = static_cast<double>(bytes) / 1e6;
    return layer;
}

Result<void> hash(const std::string& path) {
    Hasher hasher;
    TRY_VOID(each_piece(path, [&hasher](Bytes piece) -> Result<void> {
        hasher.update(piece);
        return ok;
    }));
    return hasher.finish().empty() ? Error(ErrorKind::corrupt, "no digest") : Result<void>(ok);
}

/// The directory that a contender fills; removed by clear().
Result<std::string> target_make(const Disk& disk) {
    std::string path = disk.path + "/target";
    if (::mkdir(path.c_str(), 0755) != 0) {
        return Error::from_errno(errno, "mkdir", path);
    }
    return path;
}

Result<void> extract_alone(const Layer& layer, const Disk& disk) {
    TRY(const std::string path, target_make(disk));
    TRY(Fd root, Fd::open(path, O_RDONLY | O_DIRECTORY));
    TRY(LayerExtract extract, LayerExtract::open(std::move(root)));
    TRY_VOID(each_piece(layer.plain, [&extract](Bytes piece) { return extract.feed(piece); }));
    TRY([[maybe_unused]] const LayerExtractResult done, extract.finish());
    return ok;
}

Result<void> driver_write(const Layer& layer, const Disk& disk) {
    TRY(StagedLayer staged, disk.driver.layer_stage("bench"));
    LayerWriter& writer = *staged.writer;
    TRY_VOID(each_piece(layer.plain, [&writer](Bytes piece) { return writer.write(piece); }));
    TRY([[maybe_unused]] const LayerContents contents, writer.finish());
    staged.writer.reset();
    return disk.driver.layer_publish(staged);
}

Task<void> pipeline(const Layer& layer, OverlayDriver& driver) {
    CO_TRY(Fd file, Fd::open(layer.blob, O_RDONLY));
    FileSource source(std::move(file));
    CO_TRY(StagedLayer staged, driver.layer_stage("bench"));
    LayerPipelineRequest request;
    request.writer = std::move(staged.writer);
    request.watcher = {[](std::uint64_t) {}, [] {}, [](std::uint64_t) {}};
    CO_TRY([[maybe_unused]] const LayerUnpacked unpacked,
           co_await layer_pipeline(source, std::move(request)));
    co_return driver.layer_publish(staged);
}

Result<void> tar(const std::string& archive, const Disk& disk) {
    TRY(const std::string path, target_make(disk));
    SpawnOptions options;
    options.argv = {"tar", "-xf", archive, "-C", path, "--numeric-owner"};
    return process_run(options);
}

/// Take away what a contender wrote, and have the disk idle for the next.
Result<void> clear(const Disk& disk) {
    if (disk.driver.layer_exists("bench")) {
        TRY_VOID(disk.driver.layer_remove("bench"));
        TRY_VOID(disk.driver.trash().empty_now());
    }
    if (::access((disk.path + "/target").c_str(), F_OK) == 0) {
        TRY_VOID(remove_tree(AT_FDCWD, disk.path + "/target"));
    }
    ::sync();
    return ok;
}

constexpr const char* whole_name = "davit, whole";

struct Contender {
    std::string name;
    /// One of the pipeline's stages, alone.
    bool stage;
    std::function<Result<void>()> run;
    Samples samples{};
    Samples processor{};

    bool is_whole() const { return name == whole_name; }

    double seconds() const { return samples.percentile_ms(0.5) / 1e3; }

    double processor_seconds() const { return processor.percentile_ms(0.5) / 1e3; }
};

/// What this process and the children it has waited for have used so far.
Nanoseconds processor_time() {
    Nanoseconds total{};
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage used{};
        ::getrusage(who, &used);
        for (const timeval& part : {used.ru_utime, used.ru_stime}) {
            total += std::chrono::seconds(part.tv_sec) + std::chrono::microseconds(part.tv_usec);
        }
    }
    return total;
}

std::vector<Contender> contenders_of(const Layer& layer, const Disk& disk, Loop& loop) {
    std::vector<Contender> list;
    list.push_back({whole_name, false, [&] { return loop.run(pipeline(layer, disk.driver)); }});
    list.push_back({"davit, plain", false, [&] { return extract_alone(layer, disk); }});
    list.push_back({"tar -x, plain", false, [&] { return tar(layer.plain, disk); }});
    if (layer.compressed) {
        list.push_back({"tar -x", false, [&] { return tar(layer.blob, disk); }});
    }
    list.push_back({"  blob digest", true, [&] { return hash(layer.blob); }});
    list.push_back({"  inflate", true, [&] {
                        return inflate_to(layer.blob, [](Bytes) { return Result<void>(ok); });
                    }});
    list.push_back({"  archive digest", true, [&] { return hash(layer.plain); }});
    list.push_back({"  driver", true, [&] { return driver_write(layer, disk); }});
    return list;
}

void print(const Layer& layer, const std::vector<Contender>& contenders, Table& table) {
    const double whole = contenders.front().seconds();
    const Contender* slowest = nullptr;
    double processor = 0;
    for (const Contender& one : contenders) {
        const double p50 = one.seconds();
        table.add({layer.name,
                   one.name,
                   fmt::format("{}", one.samples.count()),
                   number_text(one.samples.percentile_ms(0.01) / 1e3),
                   number_text(p50),
                   number_text(one.processor_seconds()),
                   number_text(layer.megabytes / p50),
                   number_text(p50 / whole)});
        if (one.stage) {
            processor += one.processor_seconds();
            if (slowest == nullptr || p50 > slowest->seconds()) {
                slowest = &one;
            }
        }
    }
    if (slowest == nullptr || !contenders.front().is_whole()) {
        return;
    }
    const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
    const double least = std::max(slowest->seconds(), processor / processors);
    fmt::print(
        "{}: the whole takes {} of its slowest stage alone ({}), and {} of the least that {} "
        "processors can take\n",
        layer.name,
        number_text(whole / slowest->seconds()),
        slowest->name.substr(2),
        number_text(whole / least),
        processors);
}

Result<void> run(const Options& options) {
    JsonLines json;
    if (!options.json.empty()) {
        TRY_VOID(json.open(options.json));
    }
    TRY(const Workspace workspace, Workspace::make("extract"));
    TRY(const LoopFs filesystem,
        LoopFs::make(workspace.path() + "/disk", workspace.path() + "/mount", disk_bytes));
    TRY(const std::unique_ptr<OverlayDriver> driver, OverlayDriver::open(filesystem.path()));
    const Disk disk{filesystem.path(), *driver};
    Loop loop;
    Table table({"layer", "what", "n", "best s", "p50 s", "cpu s", "MB/s", "p50 / whole"});
    for (const std::string& path : options.layers) {
        TRY(const Layer layer, layer_make(workspace, path));
        std::vector<Contender> contenders = contenders_of(layer, disk, loop);
        std::erase_if(contenders, [&options](const Contender& one) {
            return one.name.find(options.only) == std::string::npos;
        });
        if (contenders.empty()) {
            return Error(ErrorKind::invalid_argument, "--only leaves nothing");
        }
        for (int round = 0; round < options.rounds; ++round) {
            for (Contender& one : contenders) {
                const Nanoseconds processor_before = processor_time();
                const MonotonicTime begun = monotonic_now();
                TRY_VOID(one.run());
                one.samples.add(monotonic_now() - begun);
                one.processor.add(processor_time() - processor_before);
                json.write({{"bench", "extract"}, {"what", one.name}, {"layer", layer.name}},
                           {{"round", round},
                            {"whole_ms", one.samples.last_ms()},
                            {"cpu_ms", one.processor.last_ms()}});
                TRY_VOID(clear(disk));
            }
        }
        print(layer, contenders, table);
        if (::unlink(layer.plain.c_str()) != 0) {
            return Error::from_errno(errno, "unlink", layer.plain);
        }
    }
    table.print();
    return ok;
}

bool parse(int argc, char** argv, Options& options) {
    const option known[] = {{"rounds", required_argument, nullptr, 'r'},
                            {"json", required_argument, nullptr, 'j'},
                            {"only", required_argument, nullptr, 'o'},
                            {nullptr, 0, nullptr, 0}};
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (found) {
            case 'r':
                options.rounds = std::atoi(optarg);
                break;
            case 'j':
                options.json = optarg;
                break;
            case 'o':
                options.only = optarg;
                break;
            default:
                return false;
        }
    }
    options.layers.assign(argv + optind, argv + argc);
    return !options.layers.empty() && options.rounds > 0;
}

}  // namespace
}  // namespace davit::bench

int main(int argc, char** argv) {
    davit::bench::Options options;
    if (!davit::bench::parse(argc, argv, options)) {
        fmt::print(
            stderr, "usage: {} [--rounds N] [--json FILE] [--only TEXT] LAYER...\n", argv[0]);
        return 2;
    }
    if (davit::Result<void> done = davit::bench::run(options); !done) {
        fmt::print(stderr, "{}\n", done.error().message());
        return 1;
    }
    return 0;
}
