#pragma once
/// The handlers of the endpoints, one function each, by the file they are in. Each parses what came
/// over the wire, runs a job of the engine, and writes what the job gives.
#include "http/api/context.h"

namespace davit::api {

// system.cc
Task<void> ping(ApiContext& context);
Task<void> version(ApiContext& context);
Task<void> info(ApiContext& context);
Task<void> jobs_list(ApiContext& context);
Task<void> loop_stats(ApiContext& context);
Task<void> loop_reset(ApiContext& context);
Task<void> job_cancel(ApiContext& context);

// metrics.cc
Task<void> metrics(ApiContext& context);
Task<void> network_stats(ApiContext& context);

/// What Docker says of Swarm's endpoints on a host that is in no swarm.
Error no_swarm();
Task<void> not_a_swarm(ApiContext& context);
Task<void> plugins_list(ApiContext& context);

// events.cc
Task<void> events(ApiContext& context);

// containers.cc
Task<void> container_list(ApiContext& context);
Task<void> container_create(ApiContext& context);
Task<void> container_inspect(ApiContext& context);
Task<void> container_start(ApiContext& context);
Task<void> container_stop(ApiContext& context);
Task<void> container_restart(ApiContext& context);
Task<void> container_kill(ApiContext& context);
Task<void> container_rename(ApiContext& context);
Task<void> container_pause(ApiContext& context);
Task<void> container_unpause(ApiContext& context);
Task<void> container_wait(ApiContext& context);
Task<void> container_remove(ApiContext& context);

// container_details.cc
Task<void> container_top(ApiContext& context);
Task<void> container_changes(ApiContext& context);
Task<void> container_update(ApiContext& context);

// stats.cc
Task<void> container_stats(ApiContext& context);

// container_prune.cc
Task<void> containers_prune(ApiContext& context);

// container_archive.cc
Task<void> container_archive_stat(ApiContext& context);
Task<void> container_archive_get(ApiContext& context);
Task<void> container_archive_put(ApiContext& context);
Task<void> container_export(ApiContext& context);
Task<void> container_commit(ApiContext& context);

// streams.cc
Task<void> container_attach(ApiContext& context);
Task<void> container_logs(ApiContext& context);
Task<void> container_resize(ApiContext& context);

// exec.cc
Task<void> exec_create(ApiContext& context);
Task<void> exec_start(ApiContext& context);
Task<void> exec_resize(ApiContext& context);
Task<void> exec_inspect(ApiContext& context);

// networks.cc
Task<void> network_list(ApiContext& context);
Task<void> network_inspect(ApiContext& context);
Task<void> network_create(ApiContext& context);
Task<void> network_connect(ApiContext& context);
Task<void> network_disconnect(ApiContext& context);
Task<void> network_remove(ApiContext& context);
Task<void> networks_prune(ApiContext& context);
Task<void> network_trace(ApiContext& context);

// images.cc
Task<void> image_list(ApiContext& context);
Task<void> image_create(ApiContext& context);
Task<void> image_inspect(ApiContext& context);
Task<void> image_history(ApiContext& context);
Task<void> image_tag(ApiContext& context);
Task<void> image_remove(ApiContext& context);

// image_prune.cc
Task<void> images_prune(ApiContext& context);
Task<void> build_cache_prune(ApiContext& context);

// image_archive.cc
Task<void> image_get(ApiContext& context);
Task<void> images_get(ApiContext& context);
Task<void> image_load(ApiContext& context);

// auth.cc, distribution.cc, image_push.cc, referrers.cc, search.cc
Task<void> registry_login(ApiContext& context);
Task<void> distribution_inspect(ApiContext& context);
Task<void> image_push(ApiContext& context);
Task<void> referrers_list(ApiContext& context);
Task<void> image_search(ApiContext& context);

// graph.cc
Task<void> graph_check(ApiContext& context);
Task<void> graph_repair(ApiContext& context);
Task<void> graph_show(ApiContext& context);

// image_gc.cc
Task<void> image_gc(ApiContext& context);
Task<void> image_pin(ApiContext& context);
Task<void> image_unpin(ApiContext& context);

// volumes.cc
Task<void> volume_list(ApiContext& context);
Task<void> volume_create(ApiContext& context);
Task<void> volume_inspect(ApiContext& context);
Task<void> volume_remove(ApiContext& context);
Task<void> volumes_prune(ApiContext& context);

// system_df.cc
Task<void> system_df(ApiContext& context);

}  // namespace davit::api
