#include <csignal>

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

Task<void> end_run(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::shared_ptr<ContainerRun> run = container->run;
    static_cast<void>(run->init.signal(SIGKILL));
    container_event(daemon, *container, "kill", {{"signal", std::to_string(SIGKILL)}});
    while (container->run == run) {
        CO_CHECK(co_await container->wait_changed());
    }
    co_return ok;
}

/// Everything of it goes; each step may find its work done already, so an interrupted removal is
/// just run again. The record goes last: what has none is deleted at the next start anyway.
Task<void> remove_steps(Job& job, Daemon& daemon, Container& container) {
    job.phases().begin("rootfs");
    const Result<void> rw = daemon.graph_driver->rw_remove(container.record.rw_name);
    if (!rw && rw.error().kind() != ErrorKind::not_found) {
        co_return rw.error();
    }
    job.phases().begin("files");
    CO_CHECK(remove_tree(AT_FDCWD, daemon.files_directory(container.id())));
    CO_CHECK(remove_tree(AT_FDCWD, daemon.log_directory(container.id())));
    job.phases().begin("record");
    co_return co_await daemon.container_erase(container);
}

Error still_running(const Container& container) {
    return Error(ErrorKind::conflict,
                 "cannot remove container \"" + container.record.name + "\": container is " +
                     (container.run ? "running" : "restarting") +
                     ": stop the container before removing or force remove");
}

/// The caller has set `removing`, so nothing starts it any more.
Task<void> remove_carried_through(Job& job,
                                  Daemon& daemon,
                                  std::shared_ptr<Container> container,
                                  ContainerRemoveRequest request) {
    if (container->run && request.force) {
        // Before taking the turn: who holds it may be waiting for this very end.
        container->exit_wanted = true;
        static_cast<void>(container->run->init.signal(SIGKILL));
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
    if (!container->record.host_config.auto_remove) {
        // The intent: a start of the daemon finishes what is begun.
        CO_CHECK(co_await daemon.container_save(*container));
    }
    Result<void> removed = co_await remove_steps(job, daemon, *container);
    if (!removed) {
        container->record.state.status = ContainerState::dead;
        container->removal_error = removed.error().message();
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

}  // namespace davit
