// POST /containers/prune
#include "jobs/container_prune.h"

#include <array>

#include "http/api/handlers.h"
#include "http/api/prune_filter.h"
#include "http/json_writer.h"
#include "jobs/daemon.h"

namespace davit::api {

Task<void> containers_prune(ApiContext& context) {
    static constexpr std::array<std::string_view, 3> known{"label", "label!", "until"};
    CO_TRY(const PruneFilter filter,
           PruneFilter::parse(context.query.get("filters"), known, wall_now()));
    ContainerPruneAdmits admits = [&filter](const ContainerRecord& record) {
        return (!filter.until || record.created <= *filter.until) &&
               filter.admits_labels(record.config.labels);
    };
    CO_TRY(const ContainersPruned pruned,
           co_await container_prune(context.job, context.daemon, std::move(admits)));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("ContainersDeleted");
    if (pruned.ids.empty()) {
        json.null();
    } else {
        json.begin_array();
        for (const ContainerId& id : pruned.ids) {
            json.string(id.str());
        }
        json.end_array();
    }
    json.key("SpaceReclaimed").number(pruned.bytes).end_object();
    co_return co_await context.send_json(200, std::move(body));
}

}  // namespace davit::api
