#include <algorithm>
#include <span>

#include "jobs/admission.h"
#include "jobs/container/state.h"
#include "jobs/container_jobs.h"
#include "jobs/container_starter.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "jobs/sandbox_pool.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

/// The phases from number `first` on: a restart has others before them.
void phases_keep(ContainerRecord& record, const PhaseRecorder& recorder, std::size_t first) {
    record.start_phases.clear();
    const std::span<const Phase> phases = std::span(recorder.phases()).subspan(first);
    for (const Phase& phase : phases) {
        record.start_phases.push_back(
            {phase.name, (phase.start - phases.front().start).count(), phase.duration.count()});
    }
}

/// The program runs: say so everywhere, and follow it from now on.
Task<void> announce(Job& job,
                    Daemon& daemon,
                    std::shared_ptr<Container> container,
                    std::size_t first_phase) {
    ContainerStateRecord& state = container->record.state;
    state = ContainerStateRecord{};
    state.status = ContainerState::running;
    state.pid = container->run->init.pid();
    state.started_at = wall_now();
    if (HealthPlan::make(container->record.config)) {
        state.health.emplace();
    }
    phases_keep(container->record, job.phases(), first_phase);
    const Result<void> saved = co_await daemon.container_save(*container);
    if (!saved) {
        LOG_ERROR("container={}: save its start: {}",
                  container->id().short_id(),
                  saved.error().message());
    }
    daemon.image_used(container->record.image_id);
    container_event(daemon, *container, "start");
    container->changed();
    daemon.supervisors.spawn(container_supervise(daemon, container));
    const ContainerRecord& record = container->record;
    daemon.sandboxes->started(
        record.host_config,
        daemon.networks->network_to_prepare(
            record.host_config.network_mode, record.config.mac_address, record.networks));
    co_return ok;
}

/// Keep what went wrong, for inspect; with --rm the container goes.
Task<void> start_failed(Job& job,
                        Daemon& daemon,
                        std::shared_ptr<Container> container,
                        Error error,
                        int exit_code,
                        std::size_t first_phase) {
    container->output.run_ended();
    container->record.state.exit_code = exit_code;
    container->record.state.error = error.message();
    container->record.state.cause = ExitCause{};
    const auto& phases = job.phases().phases();
    container->record.state.cause.failed_phase =
        phases.size() > first_phase ? std::string(phases.back().name) : "check";
    phases_keep(container->record, job.phases(), first_phase);
    co_return co_await daemon.container_save(*container);
}

/// Somebody starts it: what its restart policy counts begins anew.
Result<void> restarts_reset(Container& container) {
    if (container.record.state.status == ContainerState::restarting) {
        return Error(ErrorKind::not_modified, "Container is already started");
    }
    if (!container.run) {
        container.record.restart_count = 0;
        container.record.manually_stopped = false;
        container.restart_pause = Nanoseconds{};
    }
    return ok;
}

Task<Admission::Turn> turn_wait(Job& job, Daemon& daemon, std::uint64_t lane) {
    if (daemon.admission->is_full()) {
        job.phases().begin("queue");
    }
    return daemon.admission->enter(lane);
}

Task<void> start_locked(Job& job,
                        Daemon& daemon,
                        std::shared_ptr<Container> container,
                        std::size_t first_phase) {
    if (container->removing || container->removed) {
        co_return Error(ErrorKind::conflict,
                        "container is marked for removal and cannot be started");
    }
    CO_CHECK([&]() -> Result<void> {
        TRY([[maybe_unused]] const ContainerState next,
            container_state_check(
                container->record.state.status, ContainerEvent::start, container->id().str()));
        return ok;
    }());
    container->exit_wanted = false;
    container->restart_cancelled.reset();
    const SandboxPool::StartNote note(*daemon.sandboxes);
    const Foreground::Hold hold(daemon.foreground);
    CO_TRY(StartAttempt attempt, co_await container_start_once(job, daemon, *container));
    if (attempt.retry) {
        first_phase = job.phases().phases().size();
        CO_TRY(attempt, co_await container_start_once(job, daemon, *container));
    }
    if (attempt.failure) {
        Error kept = *attempt.failure;
        static_cast<void>(co_await shielded(
            start_failed(job, daemon, container, std::move(kept), attempt.exit_code, first_phase)));
        co_return *std::move(attempt.failure);
    }
    co_return co_await shielded(announce(job, daemon, container, first_phase));
}

}  // namespace

namespace {

class StartPending {
  public:
    explicit StartPending(std::shared_ptr<Container> container) : container_(std::move(container)) {
        ++container_->starts_pending;
    }

    StartPending(const StartPending&) = delete;
    StartPending& operator=(const StartPending&) = delete;

    ~StartPending() {
        --container_->starts_pending;
        container_->changed();
    }

  private:
    std::shared_ptr<Container> container_;
};

}  // namespace

Task<void> container_start(Job& job,
                           Daemon& daemon,
                           std::shared_ptr<Container> container,
                           std::uint64_t lane) {
    const StartPending pending(container);
    const std::size_t first_phase = job.phases().phases().size();
    Result<void> started = ok;
    {
        // Before the lock: a container that waits can be removed.
        CO_TRY(auto turn, co_await turn_wait(job, daemon, lane));
        CO_TRY(const auto permit, co_await container->operations.lock());
        CO_CHECK(restarts_reset(*container));
        started = co_await start_locked(job, daemon, container, first_phase);
        if (started) {
            turn.succeeded();
        }
    }
    const bool failed = !started && started.error().kind() != ErrorKind::not_modified;
    if (failed && container->record.host_config.auto_remove && !container->run &&
        !container->removing && !container->removed) {
        const ContainerRemoveRequest request;
        static_cast<void>(co_await shielded(container_remove(job, daemon, container, request)));
    }
    co_return started;
}

Task<void> container_start_again(Job& job, Daemon& daemon, std::shared_ptr<Container> container) {
    const std::size_t first_phase = job.phases().phases().size();
    CO_TRY(const auto turn, co_await turn_wait(job, daemon, 0));
    CO_TRY(const auto permit, co_await container->operations.lock());
    if (container->record.state.status != ContainerState::restarting || daemon.stopping) {
        co_return ok;
    }
    Result<void> started = co_await start_locked(job, daemon, container, first_phase);
    if (!started) {
        static_cast<void>(co_await shielded(container_restart_cancel(daemon, *container)));
    }
    co_return started;
}

}  // namespace davit
