// From what a client asked for to a running process.
#include <algorithm>
#include <cerrno>

#include "jobs/container/merge.h"
#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/container_links.h"
#include "jobs/daemon.h"
#include "jobs/exec.h"
#include "libcontainer/exec_plan.h"

namespace davit {

namespace {

std::vector<std::string> environment_of(const Daemon& daemon,
                                        const ContainerRecord& record,
                                        const ExecConfig& config) {
    ContainerConfig merged;
    merged.hostname = record.config.hostname;
    merged.tty = config.tty;
    merged.env = record.config.env;
    merged.env.insert(merged.env.end(), config.env.begin(), config.env.end());
    return container_environment(merged, links_environment(daemon, record));
}

bool has_home(const std::vector<std::string>& environment) {
    return std::ranges::any_of(environment,
                               [](const std::string& entry) { return entry.starts_with("HOME="); });
}

/// A process as the container's first one is, but for what was asked for. Follows: Docker's
/// daemon/exec.go ContainerExecStart(), daemon/exec_linux.go execSetPlatformOpt().
Result<ExecSpec> exec_spec_build(const Daemon& daemon,
                                 const Exec& exec,
                                 const ContainerRun& run,
                                 SeccompFilter seccomp) {
    const ContainerRecord& record = exec.container->record;
    const ExecConfig& config = exec.config;
    SpecInputs inputs;
    inputs.seccomp = std::move(seccomp);
    if (config.user.empty()) {
        inputs.user = record.user;
    }
    inputs.descriptors = daemon.config.descriptors_at_start;
    TRY(ContainerSpec container, spec_build(record, inputs));
    ExecSpec spec;
    spec.process = std::move(container.process);
    ProcessSpec& process = spec.process;
    process.arguments = config.cmd;
    process.environment = environment_of(daemon, record, config);
    if (config.user.empty()) {
        if (!has_home(process.environment)) {
            process.environment.push_back("HOME=" + record.user.home);
        }
    } else {
        spec.user = config.user;
        spec.further_groups = record.host_config.group_add;
    }
    if (!config.working_dir.empty()) {
        process.working_directory = config.working_dir;
    }
    if (config.privileged) {
        process.apparmor_profile.clear();
        const CapabilitySet all = capabilities_available();
        process.capabilities.bounding = all;
        if (process.uid == 0) {
            process.capabilities.effective = process.capabilities.permitted = all;
        }
    }
    process.terminal = config.tty;
    const auto cells = [](std::uint32_t count) {
        return static_cast<std::uint16_t>(std::min<std::uint32_t>(count, UINT16_MAX));
    };
    process.terminal_height = cells(config.console_size[0]);
    process.terminal_width = cells(config.console_size[1]);
    spec.cgroup = run.cgroup->placement();
    spec.ids = run.ids;
    spec.keyring = container.new_session_keyring ? "_ses." + record.id.str() : "";
    return spec;
}

Result<ExecRequest> request_make(const Exec& exec,
                                 const ContainerRun& run,
                                 const LaunchPlan& plan,
                                 int cgroup_fd) {
    ExecRequest request;
    request.plan = plan;
    TRY(Fd init, Fd::duplicate(run.init.pidfd()));
    request.registers.push_back(std::move(init));
    request.cgroup_fd = cgroup_fd;
    request.open_stdin = exec.config.attach_stdin;
    request.terminal = exec.config.tty;
    return request;
}

/// The container uses controllers in its own v2 cgroup, which takes no process then: it is started
/// where the container's init is, as runc and crun do. That one may be on the move.
constexpr int leaf_tries_max = 3;

bool is_cgroup_busy(const Result<ExecProcess>& process) {
    return !process && process.error().errno_value() == EBUSY;
}

Task<ExecProcess> process_start(Job& job, Daemon& daemon, std::shared_ptr<Exec> exec) {
    const std::shared_ptr<ContainerRun> run = exec->container->run;
    job.phases().begin("plan");
    CO_TRY(SeccompFilter seccomp, co_await daemon.seccomp.of(exec->container->record));
    CO_TRY(const ExecSpec spec, exec_spec_build(daemon, *exec, *run, std::move(seccomp)));
    CO_TRY(const LaunchPlan plan, exec_plan_compile(spec));
    CO_TRY(ExecRequest request, request_make(*exec, *run, plan, run->cgroup->unified_fd()));
    job.phases().begin("exec");
    Result<ExecProcess> process = co_await daemon.exec_driver->start(std::move(request));
    for (int tries = 0; is_cgroup_busy(process) && tries < leaf_tries_max; ++tries) {
        CO_TRY(const Fd leaf, run->cgroup->leaf_of(run->init.pid()));
        CO_TRY(ExecRequest again, request_make(*exec, *run, plan, leaf.get()));
        process = co_await daemon.exec_driver->start(std::move(again));
    }
    job.phases().end();
    if (!process && exec->container->run != run) {
        co_return Error(ErrorKind::conflict,
                        "container " + exec->container->id().str() + " is not running");
    }
    co_return std::move(process);
}

/// The exit code of an exec that could not be started. Follows: docker-exec(1).
int start_exit_code(const Error& error) {
    return error.kind() == ErrorKind::not_found && error.errno_value() == 0 ? 127 : 126;
}

/// In the words that clients know, and with the kind that says whose mistake it was.
Error start_error(Error error) {
    if (error.kind() == ErrorKind::conflict || error.kind() == ErrorKind::cancelled ||
        (error.kind() == ErrorKind::invalid_argument && error.errno_value() == 0)) {
        return error;
    }
    // libcontainer tells of the command and its directory without an errno.
    const bool clients = error.errno_value() == 0 && (error.kind() == ErrorKind::not_found ||
                                                      error.kind() == ErrorKind::permission_denied);
    return Error(clients ? ErrorKind::invalid_argument : ErrorKind::internal,
                 "OCI runtime exec failed: exec failed: unable to start container process: " +
                     error.message() + ": unknown");
}

std::shared_ptr<ExecRun> run_make(ExecProcess process, bool tty) {
    auto run = std::make_shared<ExecRun>();
    run->process = std::move(process.init);
    run->input = std::move(process.input);
    run->output = std::move(process.output);
    run->error = std::move(process.error);
    run->tty = tty;
    return run;
}

}  // namespace

Task<std::shared_ptr<ExecRun>> exec_start(Job& job, Daemon& daemon, std::shared_ptr<Exec> exec) {
    const Foreground::Hold hold(daemon.foreground);
    exec->state = ExecState::starting;
    container_event(daemon,
                    *exec->container,
                    "exec_start: " + exec_command_text(exec->config),
                    {{"execID", exec->id.str()}});
    Result<ExecProcess> process = co_await process_start(job, daemon, exec);
    if (!process) {
        exec->state = ExecState::exited;
        exec->exit_code = start_exit_code(process.error());
        daemon.execs.ended(exec, monotonic_now());
        exec->changed();
        co_return start_error(std::move(process).error());
    }
    for (const std::string& warning : process->warnings) {
        job.complain(warning);
    }
    exec->run = run_make(*std::move(process), exec->config.tty);
    exec->pid = exec->run->process.pid();
    exec->state = ExecState::running;
    exec->changed();
    co_return exec->run;
}

}  // namespace davit
