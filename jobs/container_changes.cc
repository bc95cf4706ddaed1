#include "jobs/container_changes.h"

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/offload.h"

namespace davit {

Task<std::map<std::string, ChangeKind>> container_changes(Daemon& daemon,
                                                          std::shared_ptr<Container> container) {
    constexpr std::size_t entries_per_step = 4096;  // Some milliseconds: how late a cancel may be.
    CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon, container->record));
    RootfsSpec image = spec;
    image.rw_name.clear();
    Fd lower;
    if (!image.layers.empty()) {
        CO_TRY(lower, co_await rootfs_mount(*daemon.graph_driver, std::move(image)));
    }
    CO_TRY(const RwChanges changed, co_await daemon.graph_driver->rw_changes(std::move(spec)));
    CO_TRY(Fd upper, Fd::duplicate(changed.directory().get()));
    ChangeList list(std::move(upper), std::move(lower));
    for (bool more = true; more;) {
        auto step = [&list] { return list.step(entries_per_step); };
        CO_TRY(more, co_await offload_bulk(step));
    }
    co_return list.changes();
}

}  // namespace davit
