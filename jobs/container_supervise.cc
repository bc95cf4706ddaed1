#include <csignal>

#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container_health.h"
#include "jobs/container_jobs.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "reactor/base/limits.h"
#include "reactor/base/log.h"
#include "reactor/child.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Read one stream to its end. All pumps share one buffer: publish() copies before it waits.
Task<void> pump(Container& container, FdStream& from, OutputStream stream) {
    static std::array<char, limits::output_read_bytes> buffer;
    MonotonicTime turn_begun = monotonic_now();
    for (;;) {
        if (monotonic_now() - turn_begun > limits::loop_step_max) {
            co_await yield_now();  // A container that always has more must not have the loop.
            turn_begun = monotonic_now();
        }
        CO_TRY(const std::optional<std::size_t> got, from.try_read(buffer));
        if (!got) {
            CO_CHECK(co_await from.readable());
            continue;
        }
        if (*got == 0) {
            container.output.stream_ended(stream);
            co_return ok;
        }
        CO_CHECK(co_await container.output.publish(stream, {buffer.data(), *got}));
    }
}

ContainerStateRecord state_after(const Container& container,
                                 const Result<ExitStatus>& status,
                                 bool oom_killed) {
    ContainerStateRecord state = container.record.state;
    state.status = ContainerState::exited;
    state.pid = 0;
    state.exit_code = status ? status->shell_code() : 255;
    state.oom_killed = oom_killed;
    state.finished_at = wall_now();
    return state;
}

std::vector<std::pair<std::string, std::string>> die_attributes(const Container& container) {
    const ContainerStateRecord& state = container.record.state;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
        *state.finished_at - state.started_at.value_or(*state.finished_at));
    return {{"execDuration", std::to_string(seconds.count())},
            {"exitCode", std::to_string(state.exit_code)}};
}

}  // namespace

Task<void> container_supervise(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::shared_ptr<ContainerRun> run = container->run;
    const std::string name = container->id().short_id();
    TaskGroup pumps(GroupPolicy::independent);
    if (run->output) {
        pumps.spawn(pump(*container, *run->output, OutputStream::standard_output));
    }
    if (run->error) {
        pumps.spawn(pump(*container, *run->error, OutputStream::standard_error));
    }
    TaskGroup health(GroupPolicy::independent);
    health.spawn(container_health(daemon, container));
    const Result<ExitStatus> status = co_await child_wait(run->init);
    health.cancel();
    if (const Result<void> checked = co_await health.join(); !checked) {
        LOG_WARN("container={}: health: {}, ignoring", name, checked.error().message());
    }
    if (!status) {
        LOG_ERROR("container={}: {}", name, status.error().message());
    }
    const Result<std::uint64_t> oom_kills = run->cgroup->oom_kill_count();
    const bool oom_killed = oom_kills && *oom_kills > 0;
    if (container->record.host_config.pid_mode == "host") {
        static_cast<void>(run->cgroup->kill());  // Else what is left would hold the output open.
    }
    // The init's end ends its pid namespace: the pipes close, and everything written is in them.
    container->output.writers_ended();
    if (const Result<void> pumped = co_await pumps.join(); !pumped) {
        LOG_WARN("container={}: read output: {}, ignoring", name, pumped.error().message());
    }
    if (container->output.log_error()) {
        LOG_WARN("container={}: log: {}", name, container->output.log_error()->message());
    }
    // Before the end is known: whoever sees it may take its ports and addresses.
    daemon.networks->release(*container);
    const ContainerStateRecord ended = state_after(*container, status, oom_killed);
    if (!container->record.host_config.auto_remove) {
        if (const Result<void> saved = co_await daemon.container_save(*container, ended); !saved) {
            LOG_ERROR("container={}: save its exit: {}", name, saved.error().message());
        }
    }
    // From here to changed() nothing waits: whoever sees that it has ended can start or remove it.
    container->record.state = ended;
    container->output.run_ended();
    container->run.reset();
    daemon.execs.run_ended(*container);
    ++container->exits;
    if (oom_killed) {
        container_event(daemon, *container, "oom");
    }
    container_event(daemon, *container, "die", die_attributes(*container));
    container->changed();
    static_cast<void>(co_await container_volumes_unmount(daemon, container->record));
    // The usual case is free at once; the other one must not hold up who waits for the removal.
    const bool cgroup_left = !run->cgroup->remove();
    if (container->record.host_config.auto_remove && !container->restarting) {
        std::vector<std::string> shown{name};
        const ContainerRemoveRequest request{.force = false};
        const Result<void> removed = co_await daemon.engine.run(
            "container_remove", std::move(shown), container_remove, daemon, container, request);
        if (!removed && removed.error().kind() != ErrorKind::conflict) {
            LOG_ERROR("container={}: remove: {}", name, removed.error().message());
        }
    }
    if (cgroup_left) {
        static_cast<void>(co_await cgroup_clean_up(*run->cgroup, name));
    }
    co_return ok;
}

}  // namespace davit
