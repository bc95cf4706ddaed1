#include "http/api/graph_offline.h"

#include <unistd.h>

#include <algorithm>

#include "drivers/graph/select.h"
#include "graph/container_store.h"
#include "graph/data_root_lock.h"
#include "graph/graph_writer.h"
#include "http/api/graph_json.h"
#include "jobs/container/record.h"
#include "jobs/image/image_service.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

/// What a check needs of a daemon.
struct OfflineGraph {
    std::unique_ptr<GraphDriver> driver;
    std::unique_ptr<GraphDb> graph;
    /// None if this boot has had no daemon.
    std::unique_ptr<GraphDb> run;
    std::vector<ContainerDirectory> containers;
    std::vector<Digest> pinned;
};

Result<std::unique_ptr<GraphDb>> db_open(const std::string& directory, Durability durability) {
    GraphDbOptions options;
    options.directory = directory;
    options.durability = durability;
    return GraphDb::open(std::move(options));
}

Result<void> containers_add(OfflineGraph& offline, const GraphDb& db) {
    TRY(const std::vector<ContainerEntry> entries,
        db.view([](const ReadTxn& txn) { return container_list(txn); }));
    for (const ContainerEntry& entry : entries) {
        const Result<ContainerRecord> record = container_record_read(entry.record);
        // As container_create() names it, if the record is damaged.
        offline.containers.push_back(
            {entry.id.short_id(), record ? record->rw_name : entry.id.short_id()});
    }
    return ok;
}

Result<OfflineGraph> offline_open(const GraphOfflineRequest& request) {
    OfflineGraph offline;
    TRY(GraphDriverChoice choice, graph_driver_open("", request.data_root));
    offline.driver = std::move(choice.driver);
    const std::string root = graph_driver_state_root(*offline.driver, request.data_root);
    TRY(offline.graph, db_open(root + "/graph", Durability::durable));
    TRY_VOID(containers_add(offline, *offline.graph));
    if (::access((request.run_dir + "/db").c_str(), F_OK) == 0) {
        TRY(offline.run, db_open(request.run_dir + "/db", Durability::volatile_));
        TRY_VOID(containers_add(offline, *offline.run));
        const ContainerStore store(*offline.graph, *offline.run);
        TRY(offline.pinned, store.pinned_chains());
    }
    return offline;
}

}  // namespace

Task<std::string> graph_check_offline(GraphOfflineRequest request) {
    if (::access((request.data_root + "/daemon.lock").c_str(), F_OK) != 0) {
        co_return Error(ErrorKind::not_found, "no davit daemon has ever used " + request.data_root);
    }
    CO_TRY(const DataRootLock data_lock, DataRootLock::acquire(request.data_root));
    std::optional<DataRootLock> run_lock;
    if (::access(request.run_dir.c_str(), F_OK) == 0) {
        CO_TRY(DataRootLock lock, DataRootLock::acquire(request.run_dir, "run directory"));
        run_lock.emplace(std::move(lock));
    }
    CO_TRY(OfflineGraph offline, offline_open(request));
    GraphWriter writer(*offline.graph);
    ImageService images(*offline.graph, writer, *offline.driver, RegistryOptions{});
    auto containers = [&offline] { return offline.containers; };
    auto is_pinned = [&offline](const Digest& chain) {
        return std::ranges::find(offline.pinned, chain) != offline.pinned.end();
    };
    GraphSubject subject{images, containers, is_pinned, false};
    Result<GraphReport> report = co_await graph_check_run(std::move(subject), request.repair);
    static_cast<void>(co_await images.close());
    if (!report) {
        co_return std::move(report).error();
    }
    co_return api::graph_report_json(*report);
}

}  // namespace davit
