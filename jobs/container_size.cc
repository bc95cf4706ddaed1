#include "graph/layer_store.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/offload.h"

namespace davit {

Result<RootfsSpec> container_rootfs_spec(const Daemon& daemon, const ContainerRecord& record) {
    RootfsSpec spec;
    if (!record.chain_id.empty()) {
        TRY(spec.layers, daemon.graph->view([&](const ReadTxn& txn) {
            return chain_directories(txn, record.chain_id);
        }));
    }
    spec.rw_name = record.rw_name;
    spec.rw_volatile = record.host_config.auto_remove;
    return spec;
}

Task<ContainerSize> container_size(Daemon& daemon, std::shared_ptr<Container> container) {
    constexpr std::size_t entries_per_step = 4096;  // Some milliseconds: how late a cancel may be.
    const ContainerRecord& record = container->record;
    ContainerSize size;
    if (!record.chain_id.empty()) {
        CO_TRY(size.root, daemon.graph->view([&](const ReadTxn& txn) {
            return chain_bytes(txn, record.chain_id);
        }));
    }
    CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon, record));
    CO_TRY(const RwChanges changes, co_await daemon.graph_driver->rw_changes(std::move(spec)));
    CO_TRY(Fd directory, Fd::duplicate(changes.directory().get()));
    TreeSize tree(std::move(directory));
    for (bool more = true; more;) {
        auto step = [&tree] { return tree.step(entries_per_step); };
        CO_TRY(more, co_await offload(step));
    }
    size.writable = tree.bytes();
    size.root += size.writable;
    co_return size;
}

}  // namespace davit
