#include <algorithm>
#include <csignal>

#include "jobs/container_jobs.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/sandbox_pool.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

namespace {

void kill(ContainerRun& run) {
    run.sent = SIGKILL;
    run.sender = "a forced removal";
    static_cast<void>(run.init.signal(SIGKILL));  // One that has just ended is as good.
}

Task<void> end_run(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::shared_ptr<ContainerRun> run = container->run;
    kill(*run);
    container_event(daemon, *container, "kill", {{"signal", std::to_string(SIGKILL)}});
    container_wake(daemon, *container);
    while (container->run == run) {
        CO_CHECK(co_await container->wait_changed());
    }
    co_return ok;
}

/// Everything of it goes; each step may find its work done already, so an interrupted removal is
/// just run again. The record goes last: what has none is deleted at the next start anyway.
Task<void> remove_steps(Job& job, Daemon& daemon, Container& container) {
    daemon.sandboxes->drop(container.id());
    job.phases().begin("rootfs");
    const Result<void> rw = daemon.graph_driver->rw_remove(container.record.rw_name);
    if (!rw && rw.error().kind() != ErrorKind::not_found) {
        co_return rw.error();
    }
    job.phases().begin("files");
    CO_CHECK(remove_tree(AT_FDCWD, daemon.files_directory(container.id())));
    CO_CHECK(remove_tree(AT_FDCWD, daemon.log_directory(container.id())));
    job.phases().begin("volumes");
    CO_CHECK(co_await container_volumes_release(
        daemon, container.record, container.record.removes_volumes));
    job.phases().begin("record");
    co_return co_await daemon.container_erase(container);
}

std::vector<std::shared_ptr<Container>> owed_removals(const Daemon& daemon) {
    std::vector<std::shared_ptr<Container>> owed = daemon.containers.list();
    std::erase_if(owed, [](const std::shared_ptr<Container>& container) {
        const bool is_owed = container->record.host_config.auto_remove || container->unwanted;
        return !is_owed || container->removing ||
               container->record.state.status != ContainerState::dead;
    });
    return owed;
}

Error still_running(const Container& container) {
    const bool paused = container.record.state.status == ContainerState::paused;
    return Error(ErrorKind::conflict,
                 "cannot remove container \"" + container.record.name + "\": container is " +
                     (paused ? "paused and must be unpaused first"
                             : std::string(container.run ? "running" : "restarting") +
                                   ": stop the container before removing or force remove"));
}

/// The caller has set `removing`, so nothing starts it any more.
Task<void> remove_carried_through(Job& job,
                                  Daemon& daemon,
                                  std::shared_ptr<Container> container,
                                  ContainerRemoveRequest request) {
    if (container->run && request.force) {
        // Before taking the turn: who holds it may be waiting for this very end.
        container->exit_wanted = true;
        kill(*container->run);
        container_wake(daemon, *container);
    }
    CO_TRY(const auto permit, co_await container->operations.lock());
    if (container->is_up()) {
        if (!request.force) {
            co_return still_running(*container);  // A start was under way.
        }
        job.phases().begin("kill");
        container->exit_wanted = true;
        if (container->run) {
            CO_CHECK(co_await end_run(daemon, container));
        } else {
            CO_CHECK(co_await container_restart_cancel(daemon, *container));
        }
    }
    container->record.state.status = ContainerState::removing;
    container->record.removes_volumes =
        request.volumes || container->record.host_config.auto_remove || container->unwanted;
    if (!container->record.host_config.auto_remove) {
        // The intent: a start of the daemon finishes what is begun.
        CO_CHECK(co_await daemon.container_save(*container));
    }
    Result<void> removed = co_await remove_steps(job, daemon, *container);
    if (!removed) {
        container->record.state.status = ContainerState::dead;
        container->removal_error = removed.error().message();
        if (container->record.host_config.auto_remove) {
            daemon.removal_owed.set();
        }
        // Whatever the disk says ("busy"): the request was in order.
        co_return std::move(removed).error().with_kind(ErrorKind::internal);
    }
    co_return ok;
}

}  // namespace

Task<void> container_remove(Job& job,
                            Daemon& daemon,
                            std::shared_ptr<Container> container,
                            ContainerRemoveRequest request) {
    if (container->removing) {
        co_return Error(
            ErrorKind::conflict,
            "removal of container " + container->id().str() + " is already in progress");
    }
    if (container->is_up() && !request.force) {
        co_return still_running(*container);
    }
    if (container->removed) {
        co_return Error(ErrorKind::not_found, "No such container: " + container->id().str());
    }
    container->removing = true;
    container->removal_error.clear();
    const Foreground::Hold hold(daemon.foreground);
    // Once begun it is carried through, whether or not the client is still there.
    Result<void> removed =
        co_await shielded(remove_carried_through(job, daemon, container, request));
    container->removing = false;
    if (!removed) {
        container->changed();
        co_return std::move(removed).error().context("remove container", container->id().str());
    }
    daemon.containers.erase(container->id());
    daemon.execs.container_removed(*container);
    container->removed = true;
    container_event(daemon, *container, "destroy");
    container->changed();
    container->output.run_ended();
    co_return ok;
}

Task<void> container_removals_retry(Daemon& daemon) {
    constexpr Nanoseconds delay_first = std::chrono::seconds(1);
    constexpr Nanoseconds delay_max = std::chrono::minutes(1);
    for (;;) {
        CO_CHECK(co_await daemon.removal_owed.wait());
        daemon.removal_owed.reset();
        for (Nanoseconds delay = delay_first; !owed_removals(daemon).empty();
             delay = std::min(delay * 2, delay_max)) {
            CO_CHECK(co_await sleep_for(delay));
            for (const auto& container : owed_removals(daemon)) {
                std::vector<std::string> shown{container->id().short_id()};
                const ContainerRemoveRequest request;
                const Result<void> removed = co_await daemon.engine.run("container_remove",
                                                                        std::move(shown),
                                                                        container_remove,
                                                                        daemon,
                                                                        container,
                                                                        request);
                if (!removed) {
                    LOG_WARN("container={}: remove: {}, trying again",
                             container->id().short_id(),
                             removed.error().message());
                }
            }
        }
    }
}

}  // namespace davit
