#include "graph/tree_archive.h"
#include "jobs/container_archive.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/limits.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// The root of the init's mount namespace if it runs, else the layers mounted once more; and whose
/// ids it has.
Task<Fd> root_open(Daemon& daemon, const Container& container, IdMap& ids) {
    if (container.run != nullptr) {
        const std::string root = "/proc/" + std::to_string(container.run->init.pid()) + "/root";
        if (auto opened = Fd::open(root, O_RDONLY | O_DIRECTORY)) {
            ids = container.run->ids;
            co_return std::move(opened);
        }
        // Its init has ended a moment ago.
    }
    CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon, container.record));
    co_return co_await rootfs_mount(*daemon.graph_driver, std::move(spec));
}

}  // namespace

Task<void> container_export(Daemon& daemon,
                            std::shared_ptr<Container> container,
                            ExportOutput output) {
    Fd root;
    TreeArchiveOptions options;
    {
        CO_TRY(const Semaphore::Permit turn, co_await container->operations.lock());
        if (container->removed || container->removing) {
            co_return Error(ErrorKind::conflict,
                            "container " + container->id().str() + " is being removed");
        }
        CO_TRY(root, co_await root_open(daemon, *container, options.ids));
    }
    TreeArchive tree(std::move(root), std::move(options));
    std::vector<std::uint8_t> buffer(limits::layer_chunk_bytes);
    for (;;) {
        auto step = [&tree, &buffer] { return tree.read(buffer); };
        CO_TRY(const std::size_t got, co_await offload_bulk(step));
        if (got == 0) {
            co_return ok;
        }
        const void* bytes = buffer.data();
        const std::string_view text(static_cast<const char*>(bytes), got);
        CO_CHECK(co_await output(text));
    }
}

}  // namespace davit
