// The one table of endpoints.
#include <array>

#include "http/api/attach_request.h"
#include "http/api/container_run.h"
#include "http/api/handlers.h"

namespace davit {

std::span<const ApiRoute> api_routes() {
    using namespace api;
    static constexpr auto routes = std::to_array<ApiRoute>({
        {"HEAD", "/_ping", "ping", ping},
        {"GET", "/_ping", "ping", ping},
        {"GET", "/version", "version", version},
        {"GET", "/info", "info", info},
        {"GET", "/events", "events", events},
        {"POST", "/auth", "registry_login", registry_login},
        {"GET", "/system/df", "system_df", system_df},

        {"GET", "/containers/json", "container_list", container_list},
        {"POST", "/containers/create", "container_create", container_create},
        {"POST", "/containers/prune", "container_prune", containers_prune},
        {"GET", "/containers/{id}/json", "container_inspect", container_inspect},
        {"POST", "/containers/{id}/start", "container_start", container_start},
        {"POST", "/containers/{id}/stop", "container_stop", container_stop},
        {"POST", "/containers/{id}/restart", "container_restart", container_restart},
        {"POST", "/containers/{id}/kill", "container_kill", container_kill},
        {"POST", "/containers/{id}/update", "container_update", container_update},
        {"POST", "/containers/{id}/rename", "container_rename", container_rename},
        {"POST", "/containers/{id}/pause", "container_pause", container_pause},
        {"POST", "/containers/{id}/unpause", "container_unpause", container_unpause},
        {"POST", "/containers/{id}/wait", "container_wait", container_wait},
        {"DELETE", "/containers/{id...}", "container_remove", container_remove},
        {"POST", "/containers/{id}/attach", "container_attach", container_attach},
        {"GET", "/containers/{id}/attach/ws", "container_attach", container_attach_websocket},
        {"GET", "/containers/{id}/logs", "container_logs", container_logs},
        {"GET", "/containers/{id}/top", "container_top", container_top},
        {"GET", "/containers/{id}/stats", "container_stats", container_stats},
        {"GET", "/containers/{id}/changes", "container_changes", container_changes},
        {"POST", "/containers/{id}/resize", "container_resize", container_resize},
        {"HEAD", "/containers/{id}/archive", "container_path_stat", container_archive_stat},
        {"GET", "/containers/{id}/archive", "container_copy_out", container_archive_get},
        {"PUT", "/containers/{id}/archive", "container_copy_in", container_archive_put},
        {"GET", "/containers/{id}/export", "container_export", container_export},
        {"POST", "/commit", "container_commit", container_commit},

        {"POST", "/containers/{id}/exec", "exec_create", exec_create},
        {"POST", "/exec/{id}/start", "exec_start", exec_start},
        {"POST", "/exec/{id}/resize", "exec_resize", exec_resize},
        {"GET", "/exec/{id}/json", "exec_inspect", exec_inspect},

        {"POST", "/images/create", "image_pull", image_create},
        {"POST", "/images/load", "image_load", image_load},
        {"GET", "/images/get", "image_save", images_get},
        {"GET", "/images/{name...}/get", "image_save", image_get},
        {"POST", "/images/prune", "image_prune", images_prune},
        {"GET", "/images/json", "image_list", image_list},
        {"GET", "/images/search", "image_search", image_search},
        {"GET", "/images/{name...}/json", "image_inspect", image_inspect},
        {"GET", "/images/{name...}/history", "image_history", image_history},
        {"POST", "/images/{name...}/push", "image_push", image_push},
        {"POST", "/images/{name...}/tag", "image_tag", image_tag},
        {"DELETE", "/images/{name...}", "image_remove", image_remove},

        {"GET", "/volumes", "volume_list", volume_list},
        {"POST", "/volumes/create", "volume_create", volume_create},
        {"POST", "/volumes/prune", "volume_prune", volumes_prune},
        {"GET", "/volumes/{name}", "volume_inspect", volume_inspect},
        {"PUT", "/volumes/{name}", "not_a_swarm", not_a_swarm},
        {"DELETE", "/volumes/{name}", "volume_remove", volume_remove},

        {"POST", "/build/prune", "build_cache_prune", build_cache_prune},

        {"GET", "/distribution/{name...}/json", "distribution_inspect", distribution_inspect},

        {"GET", "/networks", "network_list", network_list},
        {"POST", "/networks/create", "network_create", network_create},
        {"POST", "/networks/prune", "network_prune", networks_prune},
        {"GET", "/networks/{id}", "network_inspect", network_inspect},
        {"DELETE", "/networks/{id}", "network_remove", network_remove},
        {"POST", "/networks/{id}/connect", "network_connect", network_connect},
        {"POST", "/networks/{id}/disconnect", "network_disconnect", network_disconnect},

        {"GET", "/plugins", "plugins_list", plugins_list},

        {"GET", "/metrics", "metrics", metrics},
        {"GET", "/davit/network/stats", "network_stats", network_stats},
        {"GET", "/davit/network/trace", "network_trace", network_trace},
        {"POST", "/davit/run", "container_run", container_run},
        {"GET", "/davit/loop", "loop_stats", loop_stats},
        {"POST", "/davit/loop/reset", "loop_reset", loop_reset},
        {"GET", "/davit/jobs", "jobs_list", jobs_list},
        {"POST", "/davit/jobs/{id}/cancel", "job_cancel", job_cancel},
        {"POST", "/davit/gc", "image_gc", image_gc},
        {"POST", "/davit/images/{name...}/pin", "image_pin", image_pin},
        {"POST", "/davit/images/{name...}/unpin", "image_unpin", image_unpin},
        {"GET", "/davit/referrers/{name...}", "referrers_list", referrers_list},
        {"GET", "/davit/graph/check", "graph_check", graph_check},
        {"POST", "/davit/graph/repair", "graph_repair", graph_repair},
        {"GET", "/davit/graph/images/{name...}", "graph_show", graph_show},
    });
    return routes;
}

}  // namespace davit
