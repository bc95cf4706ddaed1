#include "http/api/graph_data.h"

#include <filesystem>
#include <vector>

#include "graph/layer_store.h"
#include "jobs/container/record.h"
#include "jobs/daemon.h"

namespace davit::api {

namespace {

/// Follows: the layout that drivers/graph/overlay/overlay_driver.h describes.
std::string overlay_path(const Daemon& daemon, const std::string& name) {
    std::error_code ignored;
    return std::filesystem::absolute(daemon.config.data_root, ignored).string() + "/overlay/" +
           name;
}

/// The uppermost first.
std::vector<std::string> layer_paths(const Daemon& daemon, const Digest& chain_id) {
    std::vector<std::string> paths;
    if (chain_id.empty()) {
        return paths;
    }
    const auto layers =
        daemon.graph->view([&](const ReadTxn& txn) { return chain_directories(txn, chain_id); });
    if (layers) {
        for (auto layer = layers->rbegin(); layer != layers->rend(); ++layer) {
            paths.push_back(overlay_path(daemon, "layers/" + *layer + "/diff"));
        }
    }
    return paths;
}

void lower_add(GraphData& data, const std::vector<std::string>& paths, std::size_t first) {
    std::string lower;
    for (std::size_t i = first; i < paths.size(); ++i) {
        lower.append(lower.empty() ? "" : ":").append(paths[i]);
    }
    if (!lower.empty()) {
        data.emplace("LowerDir", std::move(lower));
    }
}

}  // namespace

GraphData graph_data(const Daemon& daemon, const ContainerRecord& record) {
    GraphData data;
    if (daemon.graph_driver->name() != "overlay2") {
        return data;
    }
    lower_add(data, layer_paths(daemon, record.chain_id), 0);
    const std::string own = overlay_path(daemon, "rw/" + record.rw_name);
    data.emplace("UpperDir", own + "/diff");
    data.emplace("WorkDir", own + "/work");
    if (record.state.pid > 0) {
        data.emplace("MergedDir", "/proc/" + std::to_string(record.state.pid) + "/root");
    }
    return data;
}

GraphData graph_data(const Daemon& daemon, const Digest& chain_id) {
    GraphData data;
    if (daemon.graph_driver->name() != "overlay2") {
        return data;
    }
    const std::vector<std::string> paths = layer_paths(daemon, chain_id);
    if (!paths.empty()) {
        data.emplace("UpperDir", paths.front());
        lower_add(data, paths, 1);
    }
    return data;
}

}  // namespace davit::api
