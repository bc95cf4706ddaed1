#include "jobs/container/host_limits.h"
#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// The cgroup of a running container, and whether its limits were changed.
struct Changed {
    Cgroup cgroup;
    Result<void> done;
    std::vector<std::string> warnings;
};

Error cannot_update(const Container& container, Error error) {
    return std::move(error).context("Cannot update container " + container.id().str());
}

/// A cgroup of the worker's own: the run's may be removed meanwhile.
Task<Changed> limits_change(Daemon& daemon, std::string path, Resources resources) {
    auto change = [layout = daemon.cgroups,
                   path = std::move(path),
                   resources = std::move(resources)]() -> Result<Changed> {
        TRY(Cgroup cgroup, Cgroup::open(layout, path));
        std::vector<std::string> warnings;
        const auto before = cgroup.change(resources, warnings);
        Result<void> done = before ? Result<void>(ok) : before.error();
        return Changed{std::move(cgroup), std::move(done), std::move(warnings)};
    };
    co_return co_await offload(std::move(change));
}

/// All of them or none.
Task<void> limits_apply(Job& job,
                        Daemon& daemon,
                        std::shared_ptr<Container> container,
                        Resources resources) {
    const std::shared_ptr<ContainerRun> run = container->run;
    if (!run) {
        co_return ok;
    }
    std::string path = container->record.cgroup_path;
    CO_TRY(Changed changed, co_await limits_change(daemon, std::move(path), std::move(resources)));
    if (container->run != run) {
        // It has ended: what was made after its cgroup was removed goes, too.
        static_cast<void>(changed.cgroup.remove());
        co_return ok;
    }
    *run->cgroup = std::move(changed.cgroup);
    if (!changed.done) {
        co_return std::move(changed.done).error().with_kind(ErrorKind::internal);
    }
    for (const std::string& warning : changed.warnings) {
        job.complain(warning);
    }
    co_return ok;
}

Task<void> record_restore(Daemon& daemon, std::shared_ptr<Container> container, HostConfig old) {
    container->record.host_config = std::move(old);
    if (const Result<void> saved = co_await daemon.container_save(*container); !saved) {
        LOG_ERROR("container={}: take back its update: {}",
                  container->id().short_id(),
                  saved.error().message());
    }
    co_return ok;
}

/// The record first, which says that the limits are due: a daemon that dies in between is followed
/// by one that sets them. What the kernel refuses is taken back.
Task<void> update_carried_through(Job& job,
                                  Daemon& daemon,
                                  std::shared_ptr<Container> container,
                                  HostConfig merged,
                                  HostConfig update) {
    HostConfig old = std::exchange(container->record.host_config, std::move(merged));
    Resources resources = resources_of_update(container->record, update);
    job.phases().begin("record");
    ContainerRecord stored = container->record;
    stored.limits_due = container->run != nullptr;
    Result<void> saved = co_await daemon.container_save(*container, std::move(stored));
    if (!saved) {
        container->record.host_config = std::move(old);
        co_return std::move(saved).error();
    }
    job.phases().begin("limits");
    Result<void> applied = co_await limits_apply(job, daemon, container, std::move(resources));
    if (!applied) {
        CO_CHECK(co_await record_restore(daemon, container, std::move(old)));
        co_return std::move(applied).error();
    }
    container_event(daemon, *container, "update");
    co_return ok;
}

}  // namespace

Task<std::vector<std::string>> container_update(Job& job,
                                                Daemon& daemon,
                                                std::shared_ptr<Container> container,
                                                HostConfig update) {
    CO_CHECK(host_config_update_check(update, daemon.system.cpu_count));
    CO_CHECK(host_limits_check(update, daemon.host_limits));
    std::vector<std::string> warnings = host_limit_warnings(update, daemon.host_limits);
    CO_TRY(const auto permit, co_await container->operations.lock());
    if (container->removing || container->removed ||
        container->record.state.status == ContainerState::dead) {
        Error marked(ErrorKind::conflict,
                     "container is marked for removal and cannot be \"update\"");
        co_return cannot_update(*container, std::move(marked));
    }
    HostConfig merged = container->record.host_config;
    Result<void> updated = host_config_update(merged, update);
    if (updated) {
        updated = co_await shielded(
            update_carried_through(job, daemon, container, std::move(merged), std::move(update)));
    }
    if (!updated) {
        co_return cannot_update(*container, std::move(updated).error());
    }
    co_return std::move(warnings);
}

}  // namespace davit
