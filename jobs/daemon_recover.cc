// What an earlier daemon left behind, after a crash or a kill -9.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <set>

#include "drivers/graph/directory_names.h"
#include "graph/container_store.h"
#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container/restart_policy.h"
#include "jobs/container_jobs.h"
#include "jobs/container_links.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/image/remove.h"
#include "jobs/log_server.h"
#include "jobs/network/networks.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

Result<std::vector<ContainerEntry>> entries(const GraphDb& db) {
    return db.view([](const ReadTxn& txn) { return container_list(txn); });
}

/// End whatever still runs in a container's cgroups.
Task<void> end_processes(Daemon& daemon, const ContainerRecord& record) {
    if (Result<Cgroup> cgroup = Cgroup::open(daemon.cgroups, record.cgroup_path)) {
        static_cast<void>(cgroup->kill());
        static_cast<void>(co_await cgroup_clean_up(*cgroup, record.id.short_id()));
    }
    co_return ok;
}

/// It ended while nobody looked: the host was started again, or daemon and keeper had died.
Task<void> mark_ended(Daemon& daemon, std::shared_ptr<Container> container) {
    ContainerStateRecord& state = container->record.state;
    state.status = ContainerState::exited;
    state.exit_code = exit_code_unknown;
    state.error = "ended while no daemon ran";
    state.pid = 0;
    state.finished_at = wall_now();
    daemon.networks->release(*container);
    container->changed();
    co_return co_await daemon.container_save(*container);
}

/// Whether its first process still runs. Nobody but a container's own processes is in its cgroup:
/// being in there makes a pid the one that is meant, and after a boot there is no such cgroup.
bool is_alive(const Daemon& daemon, const ContainerRecord& record) {
    const Result<Cgroup> cgroup = Cgroup::open(daemon.cgroups, record.cgroup_path);
    if (!cgroup) {
        return false;
    }
    const Result<std::vector<pid_t>> pids = cgroup->pids();
    return pids && std::ranges::find(*pids, record.state.pid) != pids->end();
}

/// What the keeper has of a container, taken out of the list.
std::optional<Kept> kept_of(std::vector<Kept>& all, const ContainerId& id) {
    const auto found = std::ranges::find(all, id, &Kept::id);
    if (found == all.end()) {
        return std::nullopt;
    }
    std::optional<Kept> kept(std::move(*found));
    all.erase(found);
    return kept;
}

Task<void> networks_adopt(Daemon& daemon, Container& container, const std::optional<Kept>& kept) {
    if (kept) {
        co_return co_await daemon.networks->adopt(container, kept->process);
    }
    CO_TRY(const PidRef process, PidRef::open(container.record.state.pid));
    co_return co_await daemon.networks->adopt(container, process);
}

/// It is to be held no longer; and ended, if it runs.
void keeper_release(Daemon& daemon, const Kept& kept) {
    static_cast<void>(kept.process.signal(SIGKILL));
    if (const Result<void> released = daemon.keeper.release(kept.slot); !released) {
        LOG_WARN("keeper: {}, ignoring", released.error().message());
    }
}

}  // namespace

Task<void> Daemon::container_recover(std::shared_ptr<Container> container,
                                     std::optional<Kept> kept) {
    const ContainerState status = container->record.state.status;
    const bool ran = status == ContainerState::running || status == ContainerState::paused;
    const bool known = kept && kept->process.pid() == container->record.state.pid;
    if (kept && !(ran && known)) {
        keeper_release(*this, *kept);  // Its end is recorded, or its start was not answered.
        kept.reset();
    }
    if (ran && (known || is_alive(*this, container->record))) {
        container_volumes_running(*this, *container);
        running_.emplace_back(std::move(container), std::move(kept));
        co_return ok;
    }
    CO_CHECK(co_await end_processes(*this, container->record));
    const bool unwanted =
        container->record.host_config.auto_remove || status == ContainerState::removing;
    if (unwanted) {
        std::vector<std::string> shown{container->id().short_id()};
        ContainerRemoveRequest request;
        request.volumes = container->record.removes_volumes;
        co_return co_await engine.run(
            "container_remove", std::move(shown), container_remove, *this, container, request);
    }
    if (status == ContainerState::restarting) {
        container->record.state.status = ContainerState::exited;
        co_return co_await container_save(*container);
    }
    if (ran) {
        co_return co_await mark_ended(*this, container);
    }
    co_return ok;
}

/// What does not run although it is to, as Docker decides it at its start: with "always" also what
/// somebody has stopped.
bool Daemon::start_is_due(const Container& container) const {
    const ContainerStateRecord& state = container.record.state;
    RunOutcome outcome;
    outcome.exit_code = state.exit_code;
    outcome.restart_count = container.record.restart_count;
    outcome.manually_stopped = container.record.manually_stopped;
    return !container.run && state.status == ContainerState::exited && state.started_at &&
           restart_policy_applies(container.record.host_config.restart_policy, outcome);
}

namespace {

/// Those that have to run before a container can start: whose namespaces it shares, and those that
/// it is linked to.
std::vector<std::shared_ptr<Container>> needed_by(const Daemon& daemon,
                                                  const ContainerRecord& record) {
    std::vector<std::shared_ptr<Container>> needed = linked_containers(daemon, record);
    const HostConfig& config = record.host_config;
    for (const std::string* mode : {&config.network_mode, &config.ipc_mode, &config.pid_mode}) {
        const std::string name = container_of_mode(*mode);
        auto found = daemon.containers.find(name);  // The empty name is nobody's.
        if (found) {
            needed.push_back(*std::move(found));
        }
    }
    return needed;
}

/// Takes: depth: of the chain that is followed; names can make it a circle.
Task<void> start_with_needed(Daemon& daemon, std::shared_ptr<Container> container, int depth) {
    constexpr int depth_max = 16;
    if (depth > depth_max || !daemon.start_is_due(*container)) {
        co_return ok;
    }
    for (const auto& needed : needed_by(daemon, container->record)) {
        CO_CHECK(co_await start_with_needed(daemon, needed, depth + 1));
    }
    const std::string name = container->id().short_id();
    std::vector<std::string> shown{name};
    const Result<void> started = co_await daemon.engine.run(
        "container_start", std::move(shown), container_start, daemon, container, 0);
    if (!started && started.error().kind() != ErrorKind::not_modified) {
        LOG_ERROR("container={}: start it again: {}", name, started.error().message());
    }
    co_return ok;
}

}  // namespace

void Daemon::containers_resume() {
    // Slots that are known first: the others get what is left.
    std::stable_partition(
        running_.begin(), running_.end(), [](const auto& one) { return one.second.has_value(); });
    for (auto& [container, kept] : std::exchange(running_, {})) {
        if (const Result<void> resumed = container_resume(*this, *container, std::move(kept));
            resumed) {
            supervisors.spawn(container_supervise(*this, container));
            if (log_server_of(container->record.host_config.log_config)) {
                supervisors.spawn(log_server_resume(container, system.host_name));
            }
        } else {
            LOG_ERROR("container={}: go on with it: {}",
                      container->id().short_id(),
                      resumed.error().message());
            supervisors.spawn(mark_ended(*this, container));
        }
    }
    for (const auto& container : containers.list()) {
        if (start_is_due(*container)) {
            supervisors.spawn(start_with_needed(*this, container, 0));
        }
    }
}

namespace {

/// Delete what containers without a record left: those with --rm lose theirs with the boot.
Result<void> unknown_directories_remove(const std::string& path,
                                        const std::set<std::string>& known) {
    TRY(const Fd directory, Fd::open(path, O_RDONLY | O_DIRECTORY));
    TRY(const std::vector<std::string> names, directory_names(directory.get(), "."));
    for (const std::string& name : names) {
        if (!is_full_id(name) || known.contains(name)) {
            continue;
        }
        LOG_INFO("container={}: remove {}: it has no record", name.substr(0, 12), path);
        TRY_VOID(remove_tree(directory.get(), name));
    }
    return ok;
}

}  // namespace

Task<void> Daemon::containers_recover(std::vector<Kept> kept) {
    std::set<std::string> ids;
    std::set<std::string, std::less<>> unreadable_rw;
    std::vector<std::shared_ptr<Container>> found;
    for (const GraphDb* db : {graph.get(), run_db.get()}) {
        CO_TRY(const std::vector<ContainerEntry> list, entries(*db));
        for (const ContainerEntry& entry : list) {
            ids.insert(entry.id.str());
            Result<ContainerRecord> record = container_record_read(entry.record);
            if (!record) {
                LOG_ERROR("container={}: {}, ignoring: its files are kept",
                          entry.id.short_id(),
                          record.error().message());
                unreadable_rw.insert(entry.id.short_id());  // As container_create() names it.
                continue;
            }
            auto container = std::make_shared<Container>(*std::move(record));
            CO_CHECK(containers.insert(container));
            container_volumes_hold(*this, *container);
            found.push_back(std::move(container));
        }
    }
    const ContainerStore store(*graph, *run_db);
    CO_TRY(std::vector<Digest> pinned, store.pinned_chains());
    auto rw_known = [this, &unreadable_rw](std::string_view name) {
        return containers.has_rw_name(name) || unreadable_rw.contains(name);
    };
    auto is_pinned = [pinned = std::move(pinned)](const Digest& chain) {
        return std::find(pinned.begin(), pinned.end(), chain) != pinned.end();
    };
    CO_CHECK(co_await image_recover(*images, std::move(rw_known), std::move(is_pinned)));
    const std::array<const std::string*, 2> roots = {&state_root, &config.run_dir};
    for (const std::string* root : roots) {
        const std::string path = *root + "/containers";
        if (const Result<void> removed = unknown_directories_remove(path, ids); !removed) {
            LOG_WARN("remove what has no record: {}, ignoring", removed.error().message());
        }
    }
    for (const auto& container : found) {
        std::optional<Kept> own = kept_of(kept, container->id());
        const Result<void> recovered = co_await container_recover(container, std::move(own));
        if (!recovered) {
            LOG_WARN("container={}: recover: {}, ignoring",
                     container->id().short_id(),
                     recovered.error().message());
        }
    }
    for (const Kept& unknown : kept) {
        keeper_release(*this, unknown);  // Its removal was recorded, and not yet told.
    }
    for (const auto& [container, own] : running_) {
        const Result<void> adopted = co_await networks_adopt(*this, *container, own);
        if (!adopted) {
            LOG_WARN("container={}: its networks: {}, ignoring",
                     container->id().short_id(),
                     adopted.error().message());
        }
    }
    if (const Result<void> swept = co_await networks->sweep(); !swept) {
        LOG_WARN("network: what an earlier daemon left: {}, ignoring", swept.error().message());
    }
    co_return ok;
}

}  // namespace davit
