#include "jobs/image/layer_sync.h"

#include <utility>

#include "drivers/graph/driver.h"
#include "graph/graph_writer.h"
#include "graph/layer_store.h"
#include "reactor/base/fd.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

std::string boot_read() {
    Result<std::string> boot = file_read("/proc/sys/kernel/random/boot_id");
    if (!boot) {
        return "";
    }
    return boot->substr(0, boot->find('\n'));
}

}  // namespace

LayerSync::LayerSync(GraphDb& db, GraphWriter& graph, GraphDriver& driver)
    : db_(db), graph_(graph), driver_(driver), boot_(boot_read()) {}

Result<std::vector<std::string>> LayerSync::due() const {
    return db_.view([](const ReadTxn& txn) { return layers_unsynced(txn); });
}

void LayerSync::soon() {
    wanted_ = true;
    if (!running_) {
        running_ = true;
        tasks_.spawn(shielded(run()));
    }
}

Task<void> LayerSync::run() {
    while (std::exchange(wanted_, false)) {
        const Result<void> synced = co_await sync_due();
        if (!synced) {
            LOG_WARN("layers: write to disk: {}, ignoring: tried again with the next pull",
                     synced.error().message());
        }
    }
    running_ = false;
    co_return ok;
}

Task<void> LayerSync::sync_due() {
    // Read before the sync: what is published meanwhile is not in it.
    CO_TRY(std::vector<std::string> cache_ids, due());
    if (cache_ids.empty()) {
        co_return ok;
    }
    auto sync = [driver = &driver_]() -> Result<void> {
        TRY_VOID(driver->sync());
        return driver->sync_names();
    };
    CO_CHECK(co_await offload_bulk(std::move(sync)));
    auto synced = [cache_ids = std::move(cache_ids)](WriteTxn& txn) {
        return layers_synced(txn, cache_ids);
    };
    co_return co_await graph_.update(std::move(synced));
}

}  // namespace davit
