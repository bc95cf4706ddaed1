#pragma once
/// What creating a container and an exec share: to follow davit-init without a loop.
#include <optional>
#include <string>
#include <vector>

#include "libcontainer/launch.h"
#include "reactor/base/fd.h"
#include "reactor/base/pid_ref.h"

namespace davit {

/// A davit-init on its way, a child of this process, and what it has said so far.
struct Launching {
    Launched launched;
    PidRef process;  // What it has forked off, if the plan forks: the program to be.
    Fd console;      // The master of its terminal.
    std::vector<std::string> warnings;

    /// The program to be.
    const PidRef& program() const { return process ? process : launched.init; }
};

/// Start davit-init with a plan; the standard streams are this process', or a terminal's.
/// Takes:  registers: as the plan lists them. Errors: as launch().
Result<Launching> launching_begin(const LaunchPlan& plan,
                                  std::vector<Fd> registers,
                                  int cgroup,
                                  bool terminal);

/// Listen until it waits at a gate: true, or its channel is closed: false, when the program runs.
/// Errors: what it failed with. Blocks: until then.
Result<bool> launching_follow(Launching& launching);

/// End what is there of it, and reap it. Safe to repeat. Blocks: until it has ended.
void launching_abort(Launching& launching);

/// Reap a davit-init that has forked off the program. Blocks: until it has ended, which is at once.
void launching_forked(Launching& launching);

/// Wait for the end of a child, and reap it. Blocks: until then.
Result<ExitStatus> process_wait(const PidRef& process);

/// Give a terminal's master to who listens on a socket. Follows: runc docs/terminals.md.
Result<void> console_hand_over(const std::string& socket, int console);

}  // namespace davit
