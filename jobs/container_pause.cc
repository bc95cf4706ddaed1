// pause and unpause, and how a signal wakes what is paused.
#include "jobs/container/freezer.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

/// Everybody sees the new state from here on; the record follows.
void state_set(Daemon& daemon, Container& container, ContainerState state, const char* event) {
    container.record.state.status = state;
    container_event(daemon, container, event);
    container.changed();
}

/// A pause that is not recorded is none: the next daemon lets go on what nobody paused.
Task<void> pause_save(Daemon& daemon, std::shared_ptr<Container> container) {
    Result<void> saved = co_await daemon.container_save(*container);
    if (!saved) {
        container_wake(daemon, *container);
    }
    co_return saved;
}

Task<void> unpause_save(Daemon& daemon, std::shared_ptr<Container> container) {
    if (const Result<void> saved = co_await daemon.container_save(*container); !saved) {
        // What the kernel does is what counts; a start of the daemon asks it.
        LOG_ERROR("container={}: save its state: {}",
                  container->id().short_id(),
                  saved.error().message());
    }
    co_return ok;
}

Error cannot(std::string_view verb, const Container& container, Error error) {
    const ErrorKind kind = error.kind();
    return Error(kind,
                 "cannot " + std::string(verb) + " container " + container.id().str() + ": " +
                     error.message());
}

Task<void> pause_locked(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::shared_ptr<ContainerRun> run = container->run;
    const auto next = container_state_check(
        container->record.state.status, ContainerEvent::pause, container->id().str());
    if (!next) {
        co_return next.error();
    }
    Result<void> frozen = co_await cgroup_freeze(*run->cgroup);
    if (container->run != run) {
        co_return Error(ErrorKind::conflict,
                        "container " + container->id().str() + " is not running");
    }
    CO_CHECK(std::move(frozen));
    state_set(daemon, *container, *next, "pause");
    co_return co_await shielded(pause_save(daemon, container));
}

Task<void> unpause_locked(Daemon& daemon, std::shared_ptr<Container> container) {
    const auto next = container_state_check(
        container->record.state.status, ContainerEvent::unpause, container->id().str());
    if (!next) {
        co_return next.error();
    }
    CO_CHECK(container->run->cgroup->thaw());
    state_set(daemon, *container, *next, "unpause");
    co_return co_await shielded(unpause_save(daemon, container));
}

}  // namespace

Task<void> container_pause(Job& job, Daemon& daemon, std::shared_ptr<Container> container) {
    CO_TRY(const auto permit, co_await container->operations.lock());
    job.phases().begin("freeze");
    Result<void> paused = co_await pause_locked(daemon, container);
    if (!paused) {
        co_return cannot("pause", *container, std::move(paused).error());
    }
    co_return ok;
}

Task<void> container_unpause(Job& job, Daemon& daemon, std::shared_ptr<Container> container) {
    CO_TRY(const auto permit, co_await container->operations.lock());
    job.phases().begin("thaw");
    Result<void> unpaused = co_await unpause_locked(daemon, container);
    if (!unpaused) {
        co_return cannot("unpause", *container, std::move(unpaused).error());
    }
    co_return ok;
}

void container_wake(Daemon& daemon, Container& container) {
    if (container.record.state.status != ContainerState::paused || !container.run) {
        return;
    }
    if (const Result<void> thawed = container.run->cgroup->thaw(); !thawed) {
        LOG_WARN("container={}: thaw it for a signal: {}, ignoring",
                 container.id().short_id(),
                 thawed.error().message());
        return;
    }
    state_set(daemon, container, ContainerState::running, "unpause");
}

}  // namespace davit
