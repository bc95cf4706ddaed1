#include "jobs/container_health.h"

#include <array>
#include <csignal>

#include "jobs/container/health.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/exec.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// The process has ended, and so has its output.
Task<void> exec_end(std::shared_ptr<Exec> exec, std::shared_ptr<ExecRun> run) {
    while (exec->state != ExecState::exited) {
        CO_CHECK(co_await exec->wait_changed());
    }
    co_return co_await run->output_ended.wait();
}

/// Checks that take too long must not pile up: asked first, then killed, as with Docker.
Task<void> exec_terminate(std::shared_ptr<Exec> exec, std::shared_ptr<ExecRun> run) {
    static constexpr std::array<int, 2> signals{SIGTERM, SIGKILL};
    for (const int signal : signals) {
        static_cast<void>(run->process.signal(signal));
        Result<void> ended =
            co_await with_timeout(limits::health_terminate_wait, exec_end(exec, run));
        if (ended || ended.error().kind() != ErrorKind::timed_out) {
            co_return ended;
        }
    }
    co_return ok;  // A process that SIGKILL does not end is the kernel's.
}

/// One run of the check; `result` is filled in whatever way it ends.
Task<void> probe(Job& job,
                 Daemon& daemon,
                 std::shared_ptr<Container> container,
                 const HealthPlan& plan,
                 HealthProbeRecord& result) {
    ExecConfig config;
    config.attach_stdout = true;
    config.attach_stderr = true;
    config.cmd = plan.command;
    CO_TRY(const auto exec, exec_create(daemon, container, std::move(config)));
    auto started = co_await with_timeout(limits::health_start_wait, exec_start(job, daemon, exec));
    if (!started) {
        if (started.error().kind() == ErrorKind::timed_out) {
            co_return Error(
                ErrorKind::timed_out,
                "timed out starting health check for container " + container->id().str());
        }
        co_return std::move(started).error();
    }
    const std::shared_ptr<ExecRun> run = *std::move(started);
    auto output = std::make_shared<HealthOutput>();
    run->captured = [output](std::string_view bytes) { output->add(bytes); };
    exec_supervise(daemon, exec, run, nullptr);
    Result<void> ended = co_await with_timeout(plan.timeout, exec_end(exec, run));
    if (ended) {
        result.exit_code = exec->exit_code.value_or(-1);
        result.output = output->text();
        co_return ok;
    }
    if (ended.error().kind() != ErrorKind::timed_out) {
        co_return ended;
    }
    CO_CHECK(co_await exec_terminate(exec, run));
    result.exit_code = -1;
    result.output = plan.timeout_text(output->text());
    co_return ok;
}

/// A job of its own each time, as every exec is.
Task<HealthProbeRecord> health_probe(Job& job,
                                     Daemon& daemon,
                                     std::shared_ptr<Container> container,
                                     HealthPlan plan) {
    HealthProbeRecord result;
    result.start = wall_now();
    const Result<void> probed = co_await probe(job, daemon, container, plan, result);
    if (!probed) {
        if (probed.error().kind() == ErrorKind::cancelled) {
            co_return probed.error();
        }
        result.exit_code = -1;
        result.output = probed.error().message();
    }
    result.end = wall_now();
    co_return std::move(result);
}

Nanoseconds age(const Container& container, WallTime now) {
    return now - container.record.state.started_at.value_or(now);
}

void result_take(Daemon& daemon,
                 Container& container,
                 const HealthPlan& plan,
                 HealthProbeRecord result) {
    std::optional<HealthRecord>& health = container.record.state.health;
    if (!health) {
        health.emplace();
    }
    const Nanoseconds since_start = age(container, result.start);
    if (plan.apply(*health, std::move(result), since_start)) {
        container_event(
            daemon, container, "health_status: " + std::string(health_status_name(health->status)));
    }
}

Task<void> checks_run(Daemon& daemon, std::shared_ptr<Container> container, HealthPlan plan) {
    for (;;) {
        const std::optional<HealthRecord>& health = container->record.state.health;
        const HealthStatus status = health ? health->status : HealthStatus::starting;
        CO_CHECK(co_await sleep_for(plan.pause(status, age(*container, wall_now()))));
        std::vector<std::string> shown{container->id().short_id()};
        CO_TRY(HealthProbeRecord result,
               co_await daemon.engine.run(
                   "health_probe", std::move(shown), health_probe, daemon, container, plan));
        result_take(daemon, *container, plan, std::move(result));
    }
}

/// Until the container is in another state than running.
Task<void> watch(TaskGroup& group, std::shared_ptr<Container> container) {
    while (container->record.state.status == ContainerState::running) {
        CO_CHECK(co_await container->wait_changed());
    }
    group.cancel();
    co_return ok;
}

}  // namespace

Task<void> container_health(Daemon& daemon, std::shared_ptr<Container> container) {
    const std::optional<HealthPlan> plan = HealthPlan::make(container->record.config);
    if (!plan) {
        co_return ok;
    }
    for (;;) {
        while (container->record.state.status != ContainerState::running) {
            CO_CHECK(co_await container->wait_changed());
        }
        TaskGroup group;
        group.spawn(checks_run(daemon, container, *plan));
        group.spawn(watch(group, container));
        const Result<void> ended = co_await group.join();
        // Nobody looks any more: Docker calls that unhealthy, without an event.
        if (container->record.state.health) {
            container->record.state.health->status = HealthStatus::unhealthy;
        }
        CO_CHECK(ended);
    }
}

}  // namespace davit
