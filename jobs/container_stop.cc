// Signals to containers: kill, stop, restart.
#include <csignal>

#include <fmt/format.h>

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "libcontainer/signal_name.h"
#include "reactor/base/log.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Signal the container's first process. One that has just ended is as good as signalled. Takes:
/// sender: who asked for it, for ExitCause.
Result<void> signal_send(const Container& container, int signal, std::string sender) {
    if (!container.run) {
        return ok;
    }
    container.run->sent = signal;
    container.run->sender = std::move(sender);
    Result<void> sent = container.run->init.signal(signal);
    if (!sent && sent.error().errno_value() == ESRCH) {
        return ok;
    }
    return sent;
}

/// Whether a signal is one by which somebody ends the container. Follows: moby's killWithSignal().
bool is_ending(const Container& container, int signal) {
    const std::string& name = container.record.config.stop_signal;
    const auto stop_signal = signal_parse(name);
    return name.empty() || signal == SIGKILL || (stop_signal && *stop_signal == signal);
}

/// Somebody has stopped it, as its restart policy is to know; also with the next daemon, should
/// this one die before the container's end is recorded. Before the signal.
Task<void> stop_note(Daemon& daemon, std::shared_ptr<Container> container) {
    if (daemon.stopping || container->restarting || container->record.manually_stopped) {
        co_return ok;
    }
    container->record.manually_stopped = true;
    if (container->record.host_config.restart_policy.name != "unless-stopped") {
        co_return ok;  // The others do not ask.
    }
    if (const Result<void> saved = co_await shielded(daemon.container_save(*container)); !saved) {
        LOG_WARN("container={}: record that it is stopped: {}, ignoring",
                 container->id().short_id(),
                 saved.error().message());
    }
    co_return ok;
}

Task<void> run_ended(std::shared_ptr<Container> container, std::shared_ptr<ContainerRun> run) {
    while (container->run == run) {
        CO_CHECK(co_await container->wait_changed());
    }
    co_return ok;
}

int stop_signal_of(const Container& container) {
    const std::string& name = container.record.config.stop_signal;
    const auto parsed = signal_parse(name);
    return !name.empty() && parsed ? *parsed : SIGTERM;
}

/// Whether a signal to a paused container lets it go on: one that is to end it does. Follows: moby
/// daemon/kill.go, killWithSignal().
bool wakes(const Container& container, int signal) {
    return container.record.state.status == ContainerState::paused && is_ending(container, signal);
}

/// Stop a running container; the caller holds its operations mutex.
Task<void> stop_locked(Job& job,
                       Daemon& daemon,
                       std::shared_ptr<Container> container,
                       ContainerStopRequest request) {
    const std::shared_ptr<ContainerRun> run = container->run;
    if (!container->is_up()) {
        co_return Error(ErrorKind::not_modified, "container is already stopped");
    }
    container->exit_wanted = true;
    CO_CHECK(co_await stop_note(daemon, container));
    if (!run) {
        CO_CHECK(co_await container_restart_cancel(daemon, *container));
        container_event(daemon, *container, "stop");
        co_return ok;
    }
    const int signal = request.signal.value_or(stop_signal_of(*container));
    const int seconds =
        request.timeout_seconds.value_or(container->record.config.stop_timeout.value_or(10));
    const std::string sender = daemon.stopping         ? "the daemon's end"
                               : container->restarting ? "a restart request"
                                                       : "a stop request";
    job.phases().begin("signal");
    CO_CHECK(signal_send(*container, signal, sender));
    container_event(daemon, *container, "kill", {{"signal", std::to_string(signal)}});
    container_wake(daemon, *container);
    Result<void> ended = ok;
    if (seconds < 0) {
        ended = co_await run_ended(container, run);
    } else {
        ended = co_await with_timeout(std::chrono::seconds(seconds), run_ended(container, run));
    }
    if (!ended && ended.error().kind() == ErrorKind::timed_out) {
        job.phases().begin("kill");
        std::string late = fmt::format("{}, for it had not ended in {} s", sender, seconds);
        CO_CHECK(signal_send(*container, SIGKILL, std::move(late)));
        container_event(daemon, *container, "kill", {{"signal", std::to_string(SIGKILL)}});
        ended = co_await run_ended(container, run);
    }
    CO_CHECK(std::move(ended));
    container_event(daemon, *container, "stop");
    co_return ok;
}

/// Once the signal is sent, what was promised follows, whether or not the client is still there. A
/// wait without end is the exception.
Task<void> stop_carried_through(Job& job,
                                Daemon& daemon,
                                std::shared_ptr<Container> container,
                                ContainerStopRequest request) {
    const bool endless = request.timeout_seconds.value_or(0) < 0;
    Task<void> stop = stop_locked(job, daemon, container, request);
    if (endless) {
        co_return co_await std::move(stop);
    }
    co_return co_await shielded(std::move(stop));
}

}  // namespace

Task<void> container_kill(Job&, Daemon& daemon, std::shared_ptr<Container> container, int signal) {
    // As Docker does, whose start holds the container's lock: else the signal would be lost.
    while (!container->run && container->starts_pending > 0) {
        CO_CHECK(co_await container->wait_changed());
    }
    if (!container->run && container->is_up()) {
        CO_TRY(const auto permit,
               co_await container->operations.lock());  // It may just be starting.
        if (!container->run && container->is_up()) {
            container->exit_wanted = container->exit_wanted || is_ending(*container, signal);
            CO_CHECK(co_await stop_note(daemon, container));
            co_return co_await container_restart_cancel(daemon, *container);
        }
    }
    const std::shared_ptr<ContainerRun> run = container->run;
    if (!run) {
        co_return Error(ErrorKind::conflict,
                        "cannot kill container: " + container->id().str() + ": container " +
                            container->id().str() + " is not running");
    }
    container->exit_wanted = container->exit_wanted || is_ending(*container, signal);
    CO_CHECK(co_await stop_note(daemon, container));
    CO_CHECK(signal_send(*container, signal, "a kill request"));
    container_event(daemon, *container, "kill", {{"signal", std::to_string(signal)}});
    if (wakes(*container, signal)) {
        container_wake(daemon, *container);
        CO_CHECK(co_await shielded(daemon.container_save(*container)));
    }
    if (signal == SIGKILL) {
        // Docker answers once the container is gone; scripts remove it right afterwards.
        co_return co_await run_ended(container, run);
    }
    co_return ok;
}

Task<void> container_restart_cancel(Daemon& daemon, Container& container) {
    container.record.state.status = ContainerState::exited;
    container.restart_cancelled.set();
    ++container.exits;
    container.changed();
    co_return co_await daemon.container_save(container);
}

Task<void> container_stop(Job& job,
                          Daemon& daemon,
                          std::shared_ptr<Container> container,
                          ContainerStopRequest request) {
    CO_TRY(const auto permit, co_await container->operations.lock());
    co_return co_await stop_carried_through(job, daemon, container, request);
}

Task<void> container_restart(Job& job,
                             Daemon& daemon,
                             std::shared_ptr<Container> container,
                             ContainerStopRequest request) {
    {
        CO_TRY(const auto permit, co_await container->operations.lock());
        container->restarting = true;
        Result<void> stopped = co_await stop_carried_through(job, daemon, container, request);
        container->restarting = false;
        if (!stopped && stopped.error().kind() != ErrorKind::not_modified) {
            co_return std::move(stopped).error();
        }
    }
    // Stopped on the way to running: a client that leaves now does not leave it like that.
    CO_CHECK(co_await shielded(container_start(job, daemon, container)));
    container_event(daemon, *container, "restart");
    co_return ok;
}

}  // namespace davit
