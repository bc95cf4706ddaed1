#pragma once
/// Hooks: programs that a bundle wants to have run while a container is made and removed.
///
/// Follows: OCI runtime-spec config.md "POSIX-platform Hooks".
#include <string>
#include <vector>

#include "reactor/base/pid_ref.h"

#include "runtime/oci_config.h"

namespace davit {

/// Run them one after the other, each with the state on its standard input.
/// Takes:  kind: "createRuntime", for messages; inside: the process whose mount, network, ipc, uts
/// and
///         cgroup namespaces they run in; null: the runtime's own.
/// Errors: internal (one cannot be executed, ends with another code than 0, or outlives its
/// timeout:
///         it is killed then), with what it wrote. Those after it do not run.
/// Blocks: as long as they take.
Result<void> hooks_run(const std::vector<OciHook>& hooks,
                       std::string_view kind,
                       const std::string& state,
                       const PidRef* inside = nullptr);

/// Wait until a process has ended, with poll(2).
/// Takes:  timeout_ms: -1: for ever. Gives: whether it has.
Result<bool> process_ended_within(const PidRef& process, int timeout_ms);

}  // namespace davit
