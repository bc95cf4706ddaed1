#include "jobs/container/host_limits.h"
#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// The limits of a running container as they are now, and as they were.
struct Changed {
    Cgroup cgroup;
    Result<LimitsBefore> before;
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
        auto before = cgroup.change(resources, warnings);
        return Changed{std::move(cgroup), std::move(before), std::move(warnings)};
    };
    co_return co_await offload(std::move(change));
}

Task<void> limits_restore(LimitsBefore before) {
    auto restore = [before = std::make_shared<LimitsBefore>(std::move(before))] {
        return before->restore();
    };
    co_return co_await offload(std::move(restore));
}

/// Gives: how to take it back; nothing for a container that does not run.
Task<std::optional<LimitsBefore>> limits_apply(Job& job,
                                               Daemon& daemon,
                                               std::shared_ptr<Container> container,
                                               Resources resources) {
    const std::shared_ptr<ContainerRun> run = container->run;
    if (!run) {
        co_return std::optional<LimitsBefore>{};
    }
    std::string path = container->record.cgroup_path;
    CO_TRY(Changed changed, co_await limits_change(daemon, std::move(path), std::move(resources)));
    if (container->run != run) {
        // It has ended: what was made after its cgroup was removed goes, too.
        static_cast<void>(changed.cgroup.remove());
        co_return std::optional<LimitsBefore>{};
    }
    *run->cgroup = std::move(changed.cgroup);
    if (!changed.before) {
        co_return std::move(changed.before).error().with_kind(ErrorKind::internal);
    }
    for (const std::string& warning : changed.warnings) {
        job.complain(warning);
    }
    co_return std::optional<LimitsBefore>(*std::move(changed.before));
}

/// Limits first, then the record: what was answered is in both, and an error changed neither.
Task<void> update_carried_through(Job& job,
                                  Daemon& daemon,
                                  std::shared_ptr<Container> container,
                                  HostConfig merged,
                                  HostConfig update) {
    HostConfig old = std::exchange(container->record.host_config, std::move(merged));
    Resources resources = resources_of_update(container->record, update);
    job.phases().begin("limits");
    auto before = co_await limits_apply(job, daemon, container, std::move(resources));
    if (!before) {
        container->record.host_config = std::move(old);
        co_return std::move(before).error();
    }
    job.phases().begin("record");
    Result<void> saved = co_await daemon.container_save(*container);
    if (!saved) {
        container->record.host_config = std::move(old);
        if (*before) {
            const Result<void> restored = co_await limits_restore(**std::move(before));
            if (!restored) {
                LOG_ERROR("container={}: take back its limits: {}",
                          container->id().short_id(),
                          restored.error().message());
            }
        }
        co_return std::move(saved).error();
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
