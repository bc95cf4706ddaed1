#pragma once
/// davit as an OCI runtime: containers of bundles, without a daemon. Each function is one command
/// of runc's command line; nothing stays behind but the container and its directory (state.h).
///
/// Follows: OCI runtime-spec runtime.md "Lifecycle"; runc(8), whose messages callers look for.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libcontainer/cgroup.h"

#include "runtime/launching.h"
#include "runtime/oci_config.h"
#include "runtime/state.h"

namespace davit {

struct RuntimeCreate {
    std::string root;  // Of the containers' directories.
    std::string id;
    std::string bundle;
    std::string console_socket;  // With a terminal, unless `attached`.
    std::string pid_file;        // Written before the call returns; "": none.
    bool new_keyring = true;
    /// The caller keeps the terminal's master (Launching::console).
    bool attached = false;
};

/// A container whose init waits for runtime_start(), as a child of this process.
struct RuntimeContainer {
    RuntimeDirectory directory;
    RuntimeState state;
    Launching launching;
};

/// Errors: invalid_argument, unsupported (the configuration); conflict (the id or the cgroup
/// exists);
///         not_found, permission_denied (the program, in runc's words); internal (a hook). Nothing
///         is left behind.
Result<RuntimeContainer> runtime_create(const RuntimeCreate& request,
                                        std::vector<std::string>& warnings);

/// Let it run its program. Errors: conflict (it is not created); internal (a hook).
Result<void> runtime_start(const RuntimeDirectory& directory, std::vector<std::string>& warnings);

/// What a container is doing, as far as can be told from here.
Result<RuntimeStatus> runtime_status(const RuntimeDirectory& directory, const RuntimeState& state);

/// Takes: all: every process of its cgroup. Errors: not_found ("container not running").
Result<void> runtime_kill(const RuntimeDirectory& directory, int signal, bool all);

/// Remove what is left of a container. Takes: force: end it first, and wait for who makes it.
/// Errors: conflict (it is running).
Result<void> runtime_delete(const RuntimeDirectory& directory,
                            bool force,
                            std::vector<std::string>& warnings);

/// Errors: conflict (it is not running, not paused). Blocks: until all stands still.
Result<void> runtime_pause(const RuntimeDirectory& directory);
Result<void> runtime_resume(const RuntimeDirectory& directory);

/// The pids of all of its processes, as seen here.
Result<std::vector<pid_t>> runtime_pids(const RuntimeDirectory& directory);

Result<void> runtime_update(const RuntimeDirectory& directory,
                            const Resources& resources,
                            std::vector<std::string>& warnings);

struct RuntimeExec {
    ProcessSpec process;
    std::string console_socket;
    std::string pid_file;
    bool ignore_paused = false;
};

/// A further process, as a child of this one; it runs when the call returns.
Result<Launching> runtime_exec(const RuntimeDirectory& directory, const RuntimeExec& request);

/// The process that the bundle has, for an exec that says less.
Result<ProcessSpec> runtime_process(const RuntimeDirectory& directory);

}  // namespace davit
