// What an earlier daemon left behind, after a crash or a kill -9.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <set>

#include "drivers/graph/directory_names.h"
#include "graph/container_store.h"
#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container_jobs.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/image/remove.h"
#include "jobs/network/networks.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

Result<std::vector<ContainerEntry>> entries(const GraphDb& db) {
    return db.view([](const ReadTxn& txn) { return container_list(txn); });
}

/// End whatever still runs in a container's cgroups. Gives: true if something did.
Task<bool> end_processes(Daemon& daemon, const ContainerRecord& record) {
    Result<Cgroup> cgroup = Cgroup::open(daemon.cgroups, record.cgroup_path);
    if (!cgroup) {
        co_return false;
    }
    const Result<std::vector<pid_t>> pids = cgroup->pids();
    const bool alive = pids && !pids->empty();
    static_cast<void>(cgroup->kill());
    static_cast<void>(co_await cgroup_clean_up(*cgroup, record.id.short_id()));
    co_return alive;
}

/// A running container's process cannot be taken over: it is ended, and its record says so.
Task<void> mark_ended(Daemon& daemon, Container& container, bool was_alive) {
    ContainerStateRecord& state = container.record.state;
    constexpr int killed = 137;
    constexpr int unknown = 255;
    state.status = ContainerState::exited;
    state.exit_code = was_alive ? killed : unknown;
    state.error = was_alive ? "ended because its daemon had died" : "ended while no daemon ran";
    state.pid = 0;
    state.finished_at = wall_now();
    daemon.networks->release(container);
    co_return co_await daemon.container_save(container);
}

Task<void> recover_one(Daemon& daemon, std::shared_ptr<Container> container) {
    const ContainerState status = container->record.state.status;
    CO_TRY(const bool was_alive, co_await end_processes(daemon, container->record));
    const bool unwanted =
        container->record.host_config.auto_remove || status == ContainerState::removing;
    if (unwanted) {
        std::vector<std::string> shown{container->id().short_id()};
        ContainerRemoveRequest request;
        request.volumes = container->record.removes_volumes;
        co_return co_await daemon.engine.run(
            "container_remove", std::move(shown), container_remove, daemon, container, request);
    }
    if (status == ContainerState::running || status == ContainerState::paused) {
        co_return co_await mark_ended(daemon, *container, was_alive);
    }
    co_return ok;
}

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

Task<void> Daemon::containers_recover() {
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
        if (const Result<void> recovered = co_await recover_one(*this, container); !recovered) {
            LOG_WARN("container={}: recover: {}, ignoring",
                     container->id().short_id(),
                     recovered.error().message());
        }
    }
    for (const auto& container : found) {
        const Result<void> adopted = co_await networks->adopt(*container);
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
