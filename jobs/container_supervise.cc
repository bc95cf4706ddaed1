#include <csignal>
#include <optional>

#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container/restart_policy.h"
#include "jobs/container_health.h"
#include "jobs/container_jobs.h"
#include "jobs/container_oom.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "libcontainer/cgroup_stats.h"
#include "reactor/base/limits.h"
#include "reactor/base/log.h"
#include "reactor/child.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// What can be read now: nothing if it would wait, no bytes at the end. Output that is logged goes
/// by way of the output store; the other, if nobody is attached to take it, is gone anyway.
Result<std::optional<std::string_view>> output_take(const Container& container,
                                                    ContainerRun& run,
                                                    FdStream& from,
                                                    OutputStream stream) {
    if (container.output.is_logged()) {
        return run.slot->take(stream, from.fd());
    }
    static std::array<char, limits::output_read_bytes> buffer;  // publish() copies before it waits.
    TRY(const std::optional<std::size_t> got, from.try_read(buffer));
    if (!got) {
        return std::optional<std::string_view>{};
    }
    return std::optional<std::string_view>(std::in_place, buffer.data(), *got);
}

/// Read one stream to its end, after what an earlier daemon has read of it and not logged.
Task<void> pump(Container& container,
                std::shared_ptr<ContainerRun> run,
                FdStream& from,
                OutputStream stream) {
    if (const std::string_view left = run->slot->unlogged(stream); !left.empty()) {
        CO_CHECK(co_await container.output.publish(stream, left));
    }
    MonotonicTime turn_begun = monotonic_now();
    for (;;) {
        if (monotonic_now() - turn_begun > limits::loop_step_max) {
            co_await yield_now();  // A container that always has more must not have the loop.
            turn_begun = monotonic_now();
        }
        CO_TRY(const std::optional<std::string_view> got,
               output_take(container, *run, from, stream));
        if (!got) {
            CO_CHECK(co_await from.readable());
            continue;
        }
        if (got->empty()) {
            container.output.stream_ended(stream);
            co_return ok;
        }
        CO_CHECK(co_await container.output.publish(stream, *got));
    }
}

struct RunEnd {
    /// Nothing: nobody knows.
    std::optional<ExitStatus> status;
    WallTime time = wall_now();
};

/// What the keeper says of the end. Nothing if it has gone, or does not know: an earlier daemon has
/// reaped the process, and died before it could say so.
Task<std::optional<KeptExit>> kept_end(Daemon& daemon, const ContainerRun& run) {
    constexpr auto patience = std::chrono::seconds(1);  // The keeper reaps at once.
    CO_CHECK(co_await process_ended(run.init));
    for (;;) {
        auto kept = co_await with_timeout(patience, daemon.keeper.exit_of(run.slot->number()));
        if (kept || kept.error().kind() != ErrorKind::timed_out) {
            co_return std::move(kept);
        }
        // Else somebody traces it, and the keeper hears of it when he lets go.
        if (const Result<void> there = run.init.signal(0); !there) {
            co_return std::optional<KeptExit>();
        }
    }
}

/// Wait for the end of the first process. A child is not reaped: should this daemon die before it
/// has recorded the end, the next one learns of it from the keeper.
Task<RunEnd> run_end(Daemon& daemon, const ContainerRun& run) {
    RunEnd end;
    if (run.parent == RunParent::daemon) {
        CO_TRY(end.status, co_await child_ended(run.init));
    }
    if (run.parent == RunParent::keeper) {
        CO_TRY(const std::optional<KeptExit> kept, co_await kept_end(daemon, run));
        if (kept) {
            end.status = kept->status;
            end.time = kept->time;
            co_return end;
        }
    }
    if (!end.status) {
        CO_TRY(end.status, co_await stranger_ended(run.init));
    }
    end.time = wall_now();
    co_return end;
}

/// What a container had that ran out of memory.
void memory_note(const Cgroup& cgroup, ExitCause& cause) {
    const Result<CgroupStatsReader> reader = CgroupStatsReader::open(cgroup);
    const Result<CgroupStats> stats = reader ? reader->read() : reader.error();
    if (stats) {
        cause.memory_limit = stats->memory_limit;
        cause.memory_peak = stats->memory_max;
    }
}

ContainerStateRecord state_after(const Container& container, const RunEnd& end, bool oom_killed) {
    ContainerStateRecord state = container.record.state;
    state.status = ContainerState::exited;
    state.pid = 0;
    state.exit_code = end.status ? end.status->shell_code() : exit_code_unknown;
    if (!end.status) {
        state.error =
            "its exit code is not known: the daemon and its keeper had died before it ended";
    }
    state.oom_killed = oom_killed;
    state.finished_at = end.time;
    state.cause = ExitCause{};
    state.cause.signal = end.status && end.status->signaled ? end.status->value : 0;
    state.cause.sent = container.run->sent;
    state.cause.sender = container.run->sender;
    if (oom_killed) {
        state.cause.memory_cgroup = container.record.cgroup_path;
        memory_note(*container.run->cgroup, state.cause);
    }
    return state;
}

/// The end is recorded, or there is no record to be: nobody has to know it any more.
void run_forget(Daemon& daemon, const ContainerRun& run) {
    if (run.parent == RunParent::daemon) {
        static_cast<void>(run.init.try_reap());
    }
    if (const Result<void> released = daemon.keeper.release(run.slot->number()); !released) {
        LOG_WARN("keeper: {}, ignoring", released.error().message());
    }
}

Nanoseconds run_duration(const ContainerStateRecord& state) {
    return *state.finished_at - state.started_at.value_or(*state.finished_at);
}

/// Whether its policy starts it again; then the state says so, and the count and the pause are the
/// next ones. Follows: moby's daemon/monitor.go, handleContainerExit().
void restart_decide(const Daemon& daemon, Container& container, ContainerRecord& ended) {
    RunOutcome outcome;
    outcome.exit_code = ended.state.exit_code;
    outcome.duration = run_duration(ended.state);
    outcome.restart_count = ended.restart_count;
    outcome.manually_stopped = ended.manually_stopped;
    if (daemon.stopping || container.exit_wanted || container.removing ||
        !restart_policy_applies(container.record.host_config.restart_policy, outcome)) {
        return;
    }
    container.restart_pause = restart_pause(container.restart_pause, outcome.duration);
    ++ended.restart_count;
    ended.state.status = ContainerState::restarting;
}

/// Start it again after the pause, unless somebody stops it meanwhile.
Task<void> restart_later(Daemon& daemon, std::shared_ptr<Container> container) {
    const Result<void> cancelled =
        co_await with_timeout(container->restart_pause, container->restart_cancelled.wait());
    if (cancelled || cancelled.error().kind() != ErrorKind::timed_out) {
        co_return ok;
    }
    std::vector<std::string> shown{container->id().short_id()};
    const Result<void> started = co_await daemon.engine.run(
        "container_start", std::move(shown), container_start_again, daemon, container);
    if (!started) {
        LOG_ERROR("container={}: start it again: {}",
                  container->id().short_id(),
                  started.error().message());
    }
    co_return ok;
}

std::vector<std::pair<std::string, std::string>> die_attributes(const Container& container) {
    const ContainerStateRecord& state = container.record.state;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(run_duration(state));
    return {{"execDuration", std::to_string(seconds.count())},
            {"exitCode", std::to_string(state.exit_code)}};
}

/// The record of a container that goes may be gone first: then the note tells of its cgroups.
Task<void> ended_cgroup_clear(Daemon& daemon,
                              std::shared_ptr<Container> container,
                              std::shared_ptr<ContainerRun> run) {
    const ContainerId& id = container->id();
    CO_CHECK(co_await cgroup_clean_up(*run->cgroup, id.short_id()));
    if (run->cgroup->is_removed()) {
        daemon.ended_cgroups.drop(id);
    }
    co_return ok;
}

/// Give back what the run had, and remove the container if it asked for that.
Task<void> run_clear(Daemon& daemon,
                     std::shared_ptr<Container> container,
                     std::shared_ptr<ContainerRun> run) {
    const std::string name = container->id().short_id();
    static_cast<void>(co_await container_volumes_unmount(daemon, container->record));
    const bool goes = container->record.host_config.auto_remove && !container->restarting;
    if (goes) {
        const ContainerRecord& record = container->record;
        const Result<void> noted = daemon.ended_cgroups.add(record.id, record.cgroup_path);
        if (!noted) {
            LOG_WARN("container={}: note its cgroup: {}, ignoring", name, noted.error().message());
        }
    }
    TaskGroup cgroup(GroupPolicy::independent);
    // One that may start again at once needs the same cgroup; who waits for the removal of another
    // one does not wait for it.
    if (goes || !run->cgroup->remove()) {
        cgroup.spawn(ended_cgroup_clear(daemon, container, run));
    }
    if (goes) {
        std::vector<std::string> shown{name};
        const ContainerRemoveRequest request{.force = false};
        const Result<void> removed = co_await daemon.engine.run(
            "container_remove", std::move(shown), container_remove, daemon, container, request);
        if (!removed && removed.error().kind() != ErrorKind::conflict) {
            LOG_ERROR("container={}: remove: {}", name, removed.error().message());
        }
    }
    static_cast<void>(co_await cgroup.join());
    co_return ok;
}

}  // namespace

Task<void> container_supervise(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::shared_ptr<ContainerRun> run = container->run;
    const std::string name = container->id().short_id();
    TaskGroup pumps(GroupPolicy::independent);
    if (run->output) {
        pumps.spawn(pump(*container, run, *run->output, OutputStream::standard_output));
    }
    if (run->error) {
        pumps.spawn(pump(*container, run, *run->error, OutputStream::standard_error));
    }
    TaskGroup packing(GroupPolicy::independent);
    packing.spawn(container->output.log_pack());
    TaskGroup watches(GroupPolicy::independent);
    watches.spawn(container_health(daemon, container));
    watches.spawn(container_oom_watch(daemon, container, run));
    const Result<RunEnd> end = co_await run_end(daemon, *run);
    std::optional<Foreground::Hold> hold(std::in_place, daemon.foreground);
    watches.cancel();
    if (const Result<void> watched = co_await watches.join(); !watched) {
        LOG_WARN("container={}: watch it: {}, ignoring", name, watched.error().message());
    }
    if (!end) {
        LOG_ERROR("container={}: {}", name, end.error().message());
    }
    const Result<std::uint64_t> oom_kills = run->cgroup->oom_kill_count();
    const bool oom_killed = oom_kills && *oom_kills > 0;
    if (!has_own_pid_namespace(container->record.host_config)) {
        static_cast<void>(run->cgroup->kill());  // Else what is left would hold the output open.
    }
    // All its processes have ended: the pipes close, and everything written is in them.
    container->output.writers_ended();
    if (const Result<void> pumped = co_await pumps.join(); !pumped) {
        LOG_WARN("container={}: read output: {}, ignoring", name, pumped.error().message());
    }
    if (container->output.log_error()) {
        LOG_WARN("container={}: log: {}", name, container->output.log_error()->message());
    }
    // Before the end is known: whoever sees it may take its ports and addresses.
    daemon.networks->release(*container);
    ContainerRecord ended = container->record;
    ended.state = state_after(*container, end ? *end : RunEnd{}, oom_killed);
    restart_decide(daemon, *container, ended);
    container->ending = ended.state;
    if (!container->record.host_config.auto_remove) {
        if (const Result<void> saved = co_await daemon.container_save(*container, ended); !saved) {
            LOG_ERROR("container={}: save its exit: {}", name, saved.error().message());
        }
    }
    run_forget(daemon, *run);
    // From here to changed() nothing waits: whoever sees that it has ended can start or remove it.
    container->ending.reset();
    container->record.state = ended.state;
    container->record.restart_count = ended.restart_count;
    container->output.run_ended();
    container->run.reset();
    daemon.execs.run_ended(*container);
    const bool restarts = ended.state.status == ContainerState::restarting;
    container->exits += restarts ? 0 : 1;
    if (oom_killed && *oom_kills > run->oom_kills_told) {
        container_event(daemon, *container, "oom");
    }
    container_event(daemon, *container, "die", die_attributes(*container));
    container->changed();
    hold.reset();
    static_cast<void>(co_await run_clear(daemon, container, run));
    if (restarts) {
        static_cast<void>(co_await restart_later(daemon, container));
    }
    if (const Result<void> packed = co_await packing.join(); !packed && !container->removed) {
        LOG_WARN("container={}: compress its log: {}, ignoring", name, packed.error().message());
    }
    co_return ok;
}

}  // namespace davit
