#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/exec.h"

namespace davit {

namespace {

/// Follows: Docker's daemon/exec.go, getActiveContainer().
Result<void> active_check(const Container& container) {
    const std::string& id = container.id().str();
    switch (container.record.state.status) {
        case ContainerState::paused:
            return Error(ErrorKind::conflict,
                         "container " + id + " is paused, unpause the container before exec");
        case ContainerState::restarting:
            return Error(ErrorKind::conflict,
                         "Container " + id + " is restarting, wait until the container is running");
        case ContainerState::running:
            if (container.run) {
                return ok;
            }
            break;
        case ContainerState::created:
        case ContainerState::removing:
        case ContainerState::exited:
        case ContainerState::dead:
            break;
    }
    return Error(ErrorKind::conflict, "container " + id + " is not running");
}

}  // namespace

std::string exec_command_text(const ExecConfig& config) {
    std::string text;
    for (const std::string& word : config.cmd) {
        text.append(text.empty() ? "" : " ").append(word);
    }
    return text;
}

Result<std::shared_ptr<Exec>> exec_create(Daemon& daemon,
                                          std::shared_ptr<Container> container,
                                          ExecConfig config) {
    TRY_VOID(active_check(*container));
    auto exec = std::make_shared<Exec>(container, std::move(config));
    TRY_VOID(daemon.execs.insert(exec));
    container_event(daemon,
                    *container,
                    "exec_create: " + exec_command_text(exec->config),
                    {{"execID", exec->id.str()}});
    return exec;
}

Result<std::shared_ptr<Exec>> exec_find_active(Daemon& daemon, std::string_view id) {
    TRY(std::shared_ptr<Exec> exec, daemon.execs.find(id));
    TRY_VOID(active_check(*exec->container));
    return exec;
}

Result<void> exec_startable(const Exec& exec) {
    switch (exec.state) {
        case ExecState::created:
            return ok;
        case ExecState::starting:
        case ExecState::running:
            return Error(ErrorKind::conflict,
                         "Error: Exec command " + exec.id.str() + " is already running");
        case ExecState::exited:
            break;
    }
    return Error(ErrorKind::conflict, "Error: Exec command " + exec.id.str() + " has already run");
}

}  // namespace davit
