// The image jobs without a daemon around them: for tests that need a process of its own (kill -9,
// peak memory) and for measuring.
//
//   davit_image_tool DATA_ROOT pull REFERENCE        progress as JSON lines, then the result
//   davit_image_tool DATA_ROOT import NAME ARCHIVE
//   davit_image_tool DATA_ROOT remove REFERENCE
//   davit_image_tool DATA_ROOT recover               clean up after a crash; print what is left
//
// DAVIT_IMAGE_KILL_AFTER=N: it kills itself with the Nth line of progress.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "drivers/graph/overlay/overlay_driver.h"
#include "graph/graph_writer.h"
#include "graph/layer_store.h"
#include "graph/tag_store.h"
#include "jobs/image/image_service.h"
#include "jobs/image/import.h"
#include "jobs/image/pull.h"
#include "jobs/image/remove.h"
#include "reactor/base/clock.h"
#include "reactor/loop.h"
#include "reactor/stream.h"

namespace davit {

namespace {

class Printer final : public ProgressSink {
  public:
    void update(const ProgressMessage& message) override {
        std::printf("%s\n", progress_json(message).c_str());
        if (++lines_ == kill_after_) {
            ::raise(SIGKILL);
        }
    }

  private:
    static int kill_after() {
        const char* text = std::getenv("DAVIT_IMAGE_KILL_AFTER");
        return text == nullptr ? 0 : std::atoi(text);
    }

    int lines_ = 0;
    int kill_after_ = kill_after();
};

class FileSource final : public LayerSource {
  public:
    explicit FileSource(std::unique_ptr<FdStream> stream) : stream_(std::move(stream)) {}

    Task<std::size_t> read(std::span<char> buffer) override { return stream_->read(buffer); }

  private:
    std::unique_ptr<FdStream> stream_;
};

struct Tool {
    std::unique_ptr<GraphDb> db;
    std::unique_ptr<GraphWriter> writer;
    std::unique_ptr<OverlayDriver> driver;
    std::unique_ptr<ImageService> images;
};

Result<Tool> tool_open(const std::string& data_root) {
    Tool tool;
    GraphDbOptions options;
    options.directory = data_root + "/graph";
    TRY_VOID(make_directories(options.directory, 0700));
    TRY(tool.db, GraphDb::open(std::move(options)));
    tool.writer = std::make_unique<GraphWriter>(*tool.db);
    TRY(tool.driver, OverlayDriver::open(data_root));
    tool.images =
        std::make_unique<ImageService>(*tool.db, *tool.writer, *tool.driver, RegistryOptions());
    return tool;
}

Task<void> pull(Tool& tool, std::string name) {
    PullRequest request;
    CO_TRY(request.reference, Reference::parse(name));
    Printer printer;
    const MonotonicTime begun = monotonic_now();
    CO_TRY(const PullResult result, co_await image_pull(*tool.images, std::move(request), printer));
    const double seconds = std::chrono::duration<double>(monotonic_now() - begun).count();
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf("image %s seconds %.3f peak_kib %ld\n",
                result.image.str().c_str(),
                seconds,
                usage.ru_maxrss);
    co_return ok;
}

Task<void> import(Tool& tool, std::string name, std::string archive) {
    ImportRequest request;
    CO_TRY(request.reference, Reference::parse(name));
    CO_TRY(Fd fd, Fd::open(archive, O_RDONLY));
    CO_TRY(std::unique_ptr<FdStream> stream, FdStream::make(std::move(fd)));
    FileSource source(std::move(stream));
    Printer printer;
    CO_TRY(const Digest id,
           co_await image_import(*tool.images, std::move(request), source, printer));
    co_return ok;
}

Task<void> remove(Tool& tool, std::string name) {
    ImageRemove request;
    request.text = std::move(name);
    request.pinned = [](const Digest&) { return false; };
    CO_TRY(const ImageRemoved removed, co_await image_remove(*tool.images, std::move(request)));
    for (const ImageRemoved::Entry& entry : removed.entries) {
        std::printf("%s: %s\n",
                    entry.kind == ImageRemoved::Entry::Kind::deleted ? "Deleted" : "Untagged",
                    entry.text.c_str());
    }
    co_return ok;
}

Task<void> recover(Tool& tool) {
    CO_CHECK(co_await image_recover(*tool.images, [](std::string_view) { return false; }));
    const auto count = [](const ReadTxn& txn) -> Result<std::size_t> {
        TRY(const std::vector<LayerDirectory> directories, layer_directories(txn));
        return directories.size();
    };
    CO_TRY(const std::size_t directories, tool.db->view(count));
    std::printf("%zu layers\n", directories);
    co_return ok;
}

Task<void> run(Tool& tool, std::vector<std::string> arguments) {
    Result<void> done = ok;
    if (arguments.size() == 2 && arguments[0] == "pull") {
        done = co_await pull(tool, arguments[1]);
    } else if (arguments.size() == 3 && arguments[0] == "import") {
        done = co_await import(tool, arguments[1], arguments[2]);
    } else if (arguments.size() == 2 && arguments[0] == "remove") {
        done = co_await remove(tool, arguments[1]);
    } else if (arguments.size() == 1 && arguments[0] == "recover") {
        done = co_await recover(tool);
    } else {
        done = Error(ErrorKind::invalid_argument, "unknown verb");
    }
    CO_CHECK(co_await tool.images->close());
    CO_CHECK(tool.driver->trash().empty_now());
    co_return std::move(done);
}

}  // namespace

}  // namespace davit

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: davit_image_tool DATA_ROOT pull|import|remove|recover ...\n");
        return 2;
    }
    davit::Loop loop;
    davit::Result<davit::Tool> tool = davit::tool_open(argv[1]);
    davit::Result<void> done = davit::ok;
    if (tool) {
        done = loop.run(davit::run(*tool, std::vector<std::string>(argv + 2, argv + argc)));
    } else {
        done = std::move(tool).error();
    }
    if (!done) {
        std::fprintf(stderr, "%s\n", done.error().message().c_str());
        return 1;
    }
    return 0;
}
