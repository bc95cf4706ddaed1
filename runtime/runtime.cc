#include "runtime/runtime.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "libcontainer/exec_plan.h"
#include "libcontainer/user_namespace.h"

#include "runtime/cgroup_end.h"
#include "runtime/hooks.h"

namespace davit {

namespace {

constexpr int end_timeout_ms = 10'000;

Error not_in_state(std::string_view verb, RuntimeStatus status) {
    return Error(ErrorKind::conflict,
                 "cannot " + std::string(verb) + " a container in the " +
                     std::string(runtime_status_name(status)) + " state");
}

Result<Cgroup> cgroup_open(const RuntimeState& state) {
    TRY(const CgroupLayout layout, CgroupLayout::detect());
    return Cgroup::open(layout, state.cgroup);
}

/// As when its maker was killed before it had written anything.
Result<RuntimeState> state_or_nothing(const RuntimeDirectory& directory) {
    Result<RuntimeState> state = directory.load();
    if (!state && state.error().kind() == ErrorKind::not_found) {
        return RuntimeState{};
    }
    return state;
}

Result<OciConfig> config_of(const RuntimeDirectory& directory) {
    TRY(const std::string text, directory.config_load());
    return oci_config_parse(text);
}

/// Run in the container, as its program would be, and before it.
Result<void> start_hooks_run(const RuntimeDirectory& directory,
                             const OciConfig& config,
                             const RuntimeState& state) {
    for (const OciHook& hook : config.hooks.start_container) {
        RuntimeExec exec;
        exec.process = config.spec.process;
        exec.process.terminal = false;
        exec.process.arguments = hook.arguments;
        exec.process.arguments[0] = hook.path;
        exec.process.environment = hook.environment;
        TRY(const Launching launching, runtime_exec(directory, exec));
        TRY(const ExitStatus status, process_wait(launching.program()));
        if (status.shell_code() != 0) {
            return Error(ErrorKind::internal,
                         "error running startContainer hook " + hook.path + " of " + state.id +
                             ": exit status " + std::to_string(status.shell_code()));
        }
    }
    return ok;
}

Result<void> init_end(const RuntimeState& state) {
    const Result<PidRef> init = runtime_init(state);
    if (!init) {
        return ok;
    }
    if (const Result<void> sent = init->signal(SIGKILL);
        !sent && sent.error().kind() != ErrorKind::not_found) {
        return sent;
    }
    TRY(const bool ended, process_ended_within(*init, end_timeout_ms));
    return ended ? Result<void>(ok) : Error(ErrorKind::conflict, "container init still running");
}

}  // namespace

Result<void> cgroup_end(Cgroup& cgroup) {
    constexpr int rounds_max = 10;  // One that was being forked is found by the next.
    for (int round = 0; round < rounds_max; ++round) {
        TRY(const std::vector<pid_t> inside, cgroup.pids());
        if (inside.empty()) {
            break;
        }
        TRY_VOID(cgroup.kill());
        for (const pid_t pid : inside) {
            if (const Result<PidRef> process = PidRef::open(pid)) {
                TRY(const bool ended, process_ended_within(*process, end_timeout_ms));
                if (!ended) {
                    return Error(ErrorKind::conflict,
                                 "process " + std::to_string(pid) + " does not end");
                }
            }
        }
    }
    return cgroup.remove();
}

Result<RuntimeStatus> runtime_status(const RuntimeDirectory& directory, const RuntimeState& state) {
    if (directory.is_locked()) {
        return RuntimeStatus::creating;
    }
    if (!runtime_init(state)) {
        return RuntimeStatus::stopped;
    }
    if (directory.start_waits()) {
        return RuntimeStatus::created;
    }
    TRY(const Cgroup cgroup, cgroup_open(state));
    TRY(const bool frozen, cgroup.frozen());
    return frozen ? RuntimeStatus::paused : RuntimeStatus::running;
}

Result<void> runtime_start(const RuntimeDirectory& directory, std::vector<std::string>& warnings) {
    TRY(const RuntimeState state, directory.load());
    TRY(const RuntimeStatus status, runtime_status(directory, state));
    if (status == RuntimeStatus::running || status == RuntimeStatus::paused) {
        return Error(ErrorKind::conflict, "cannot start an already running container");
    }
    if (status != RuntimeStatus::created) {
        return not_in_state("start", status);
    }
    TRY(const OciConfig config, config_of(directory));
    TRY_VOID(start_hooks_run(directory, config, state));
    TRY_VOID(directory.start_release());
    const std::string json = runtime_state_json(state, RuntimeStatus::running, false);
    if (const Result<void> run = hooks_run(config.hooks.poststart, "poststart", json); !run) {
        warnings.push_back(run.error().message());
    }
    return ok;
}

Result<void> runtime_kill(const RuntimeDirectory& directory, int signal, bool all) {
    TRY(const RuntimeState state, directory.load());
    if (all) {
        TRY(Cgroup cgroup, cgroup_open(state));
        if (signal == SIGKILL) {
            return cgroup.kill();
        }
        TRY(const std::vector<pid_t> pids, cgroup.pids());
        for (const pid_t pid : pids) {
            if (const Result<PidRef> process = PidRef::open(pid)) {
                static_cast<void>(process->signal(signal));
            }
        }
        return ok;
    }
    TRY(const PidRef init, runtime_init(state));
    TRY_VOID(init.signal(signal));
    if (signal == SIGKILL) {
        // What stands still would not end before it is let go on.
        if (Result<Cgroup> cgroup = cgroup_open(state)) {
            static_cast<void>(cgroup->thaw());
        }
    }
    return ok;
}

Result<void> runtime_delete(const RuntimeDirectory& directory,
                            bool force,
                            std::vector<std::string>& warnings) {
    if (force) {
        directory.lock_wait();
    }
    TRY(const RuntimeState state, state_or_nothing(directory));
    TRY(const RuntimeStatus status, runtime_status(directory, state));
    if (status == RuntimeStatus::creating) {
        return not_in_state("delete", status);
    }
    if (!force && status != RuntimeStatus::stopped && status != RuntimeStatus::created) {
        return Error(ErrorKind::conflict,
                     "cannot delete container " + state.id +
                         " that is not stopped: " + std::string(runtime_status_name(status)));
    }
    if (!state.cgroup.empty()) {
        TRY(Cgroup cgroup, cgroup_open(state));
        TRY_VOID(init_end(state));
        TRY_VOID(cgroup_end(cgroup));
        if (const Result<OciConfig> config = config_of(directory)) {
            const std::string json = runtime_state_json(state, RuntimeStatus::stopped, false);
            for (const OciHook& hook : config->hooks.poststop) {
                if (const Result<void> run = hooks_run({hook}, "poststop", json); !run) {
                    warnings.push_back(run.error().message());
                }
            }
        }
    }
    return directory.remove();
}

Result<void> runtime_pause(const RuntimeDirectory& directory) {
    TRY(const RuntimeState state, directory.load());
    TRY(const RuntimeStatus status, runtime_status(directory, state));
    if (status != RuntimeStatus::running && status != RuntimeStatus::created) {
        return not_in_state("pause", status);
    }
    TRY(Cgroup cgroup, cgroup_open(state));
    TRY_VOID(cgroup.freeze());
    // The kernel tells of a change in cgroup.events, v1's freezer does not.
    const Result<Fd> events = Fd::openat(cgroup.unified_fd(), "cgroup.events", O_RDONLY);
    for (;;) {
        TRY(const bool frozen, cgroup.frozen());
        if (frozen || !events) {
            return ok;
        }
        pollfd changed{.fd = events->get(), .events = POLLPRI, .revents = 0};
        if (::poll(&changed, 1, end_timeout_ms) == 0) {
            static_cast<void>(cgroup.thaw());
            return Error(ErrorKind::timed_out, "the container does not stand still");
        }
    }
}

Result<void> runtime_resume(const RuntimeDirectory& directory) {
    TRY(const RuntimeState state, directory.load());
    TRY(const RuntimeStatus status, runtime_status(directory, state));
    if (status != RuntimeStatus::paused) {
        return Error(ErrorKind::conflict, "container not paused");
    }
    TRY(Cgroup cgroup, cgroup_open(state));
    return cgroup.thaw();
}

Result<std::vector<pid_t>> runtime_pids(const RuntimeDirectory& directory) {
    TRY(const RuntimeState state, directory.load());
    TRY(const Cgroup cgroup, cgroup_open(state));
    return cgroup.pids();
}

Result<void> runtime_update(const RuntimeDirectory& directory,
                            const Resources& resources,
                            std::vector<std::string>& warnings) {
    TRY(const RuntimeState state, directory.load());
    TRY([[maybe_unused]] const PidRef init, runtime_init(state));
    TRY(Cgroup cgroup, cgroup_open(state));
    TRY([[maybe_unused]] const LimitsBefore before, cgroup.change(resources, warnings));
    return ok;
}

Result<ProcessSpec> runtime_process(const RuntimeDirectory& directory) {
    TRY(OciConfig config, config_of(directory));
    return std::move(config.spec.process);
}

Result<Launching> runtime_exec(const RuntimeDirectory& directory, const RuntimeExec& request) {
    TRY(const RuntimeState state, directory.load());
    TRY(const RuntimeStatus status, runtime_status(directory, state));
    if (status == RuntimeStatus::stopped || status == RuntimeStatus::creating) {
        return Error(ErrorKind::conflict, "cannot exec in a stopped container");
    }
    if (status == RuntimeStatus::paused && !request.ignore_paused) {
        return Error(ErrorKind::conflict,
                     "cannot exec in a paused container (use --ignore-paused to override)");
    }
    TRY(const PidRef init, runtime_init(state));
    TRY(const Cgroup cgroup, cgroup_open(state));
    ExecSpec spec;
    spec.process = request.process;
    spec.cgroup = cgroup.placement();
    TRY(spec.ids, user_namespace_map_of(init));
    spec.keyring = state.has_keyring ? "_ses." + state.id : "";
    TRY(const LaunchPlan plan, exec_plan_compile(spec));
    TRY(Fd target, Fd::duplicate(init.pidfd()));
    std::vector<Fd> registers;
    registers.push_back(std::move(target));
    Fd leaf;  // Without a v2 hierarchy it is born in none.
    if (cgroup.unified_fd() >= 0) {
        TRY(leaf, cgroup.leaf_of(init.pid()));
    }
    TRY(Launching launching,
        launching_begin(plan, std::move(registers), leaf.get(), request.process.terminal));
    Result<bool> waits = launching_follow(launching);
    while (waits && *waits) {
        TRY_VOID(launch_release(launching.launched.channel.get()));
        waits = launching_follow(launching);
    }
    if (!waits) {
        launching_abort(launching);
        return std::move(waits).error();
    }
    launching_forked(launching);
    const auto told = [&]() -> Result<void> {
        if (launching.console && !request.console_socket.empty()) {
            TRY_VOID(console_hand_over(request.console_socket, launching.console.get()));
            launching.console.reset();
        }
        if (!request.pid_file.empty()) {
            const std::string pid = std::to_string(launching.program().pid());
            return file_replace(AT_FDCWD, request.pid_file, pid);
        }
        return ok;
    };
    if (Result<void> done = told(); !done) {
        launching_abort(launching);
        return std::move(done).error();
    }
    return launching;
}

}  // namespace davit
