#include "graph/layer_store.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"

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
    CO_TRY(size.writable, co_await tree_bytes(std::move(directory)));
    size.root += size.writable;
    co_return size;
}

}  // namespace davit
