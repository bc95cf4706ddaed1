#include "graph/layer_unfinished.h"

#include "graph/edges.h"

namespace davit {

namespace {

constexpr std::string_view lease_name = "unfinished";

Entity lease() {
    return Entity{EntityKind::lease, std::string(lease_name)};
}

}  // namespace

bool is_unfinished_lease(std::string_view lease) {
    return lease == lease_name;
}

Result<void> layer_unfinished_put(WriteTxn& txn, const LayerPlace& place) {
    TRY_VOID(entity_add(txn, lease()));
    TRY(const std::optional<LayerRecord> layer, lease_hold(txn, lease_name, place));
    if (!layer) {
        return Error(ErrorKind::not_found, "layer " + place.diff_id.str() + " is not here");
    }
    return ok;
}

Result<void> layers_finished(WriteTxn& txn, const std::vector<std::string>& cache_ids) {
    TRY(const bool any, entity_exists(txn, lease()));
    if (!any) {
        return ok;
    }
    for (const std::string& cache_id : cache_ids) {
        TRY_VOID(edge_remove(txn, lease(), cache_id));
    }
    TRY(const std::vector<Edge> left, edges_from(txn, lease()));
    if (left.empty()) {
        TRY_VOID(entity_remove(txn, lease()));
    }
    return ok;
}

Result<std::vector<std::string>> layers_unfinished(const ReadTxn& txn) {
    TRY(const std::vector<Edge> edges, edges_from(txn, lease()));
    std::vector<std::string> cache_ids;
    for (const Edge& edge : edges) {
        cache_ids.push_back(edge.child.id);
    }
    return cache_ids;
}

Result<std::vector<std::string>> layers_unfinished_drop(WriteTxn& txn) {
    TRY(const bool any, entity_exists(txn, lease()));
    return any ? lease_release(txn, lease_name) : std::vector<std::string>{};
}

Result<bool> layer_unfinished_drop(WriteTxn& txn, std::string_view cache_id) {
    TRY(const bool held, edge_remove(txn, lease(), cache_id));
    if (!held) {
        return false;
    }
    TRY_VOID(layers_finished(txn, {}));
    return layer_collect(txn, cache_id);
}

}  // namespace davit
