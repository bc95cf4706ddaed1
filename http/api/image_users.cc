#include "http/api/image_users.h"

#include <algorithm>

#include "graph/container_store.h"
#include "jobs/daemon.h"

namespace davit::api {

Result<ImageRemove> image_remove_request(const Daemon& daemon) {
    ImageRemove request;
    for (const auto& container : daemon.containers.list()) {
        request.users.push_back(
            {container->id().str(), container->record.image_id, container->run != nullptr});
    }
    const ContainerStore store(*daemon.graph, *daemon.run_db);
    TRY(std::vector<Digest> pinned, store.pinned_chains());
    request.pinned = [pinned = std::move(pinned)](const Digest& chain) {
        return std::find(pinned.begin(), pinned.end(), chain) != pinned.end();
    };
    return request;
}

}  // namespace davit::api
