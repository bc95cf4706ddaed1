#pragma once
/// ExecDriver: turns a compiled container into a running process. native drives libcontainer
/// directly.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcontainer/launch_plan.h"
#include "reactor/base/pid_ref.h"
#include "reactor/stream.h"

namespace davit {

/// An init that has set up a sandbox and waits for the container to become. Its process is a child
/// of the daemon's; closing the channel ends it.
struct ParkedInit {
    PidRef init = {};
    Fd channel = {};
};

/// What one start needs; everything was decided before.
struct ExecRequest {
    /// The plan is for this one, compiled with PlanOptions::in_sandbox; none: a new process.
    std::optional<ParkedInit> parked = {};
    /// For a container (plan_compile), or a further process of one that runs (exec_plan_compile).
    LaunchPlan plan;
    /// As plan.registers lists them: the root mount, or the pidfd of the container's init, first.
    std::vector<Fd> registers;
    /// Directory of the v2 hierarchy to be born in; none: -1.
    int cgroup_fd = -1;
    bool open_stdin = false;
    bool terminal = false;
};

/// A process that executes the container's program. The streams are the daemon's ends.
struct ExecProcess {
    PidRef init;
    /// Write end of its standard input, or the terminal; null without either.
    std::unique_ptr<FdStream> input;
    /// Read ends; with a terminal only output.
    std::unique_ptr<FdStream> output;
    std::unique_ptr<FdStream> error;
    /// What was degraded, for people.
    std::vector<std::string> warnings;
};

/// The mounts of a container without any process in it. They are gone when both are closed.
struct MountedTree {
    Fd root;             ///< Its root directory, inside the namespace.
    Fd mount_namespace;  ///< Keeps what is mounted below the root there.
};

class ExecDriver {
  public:
    ExecDriver() = default;
    ExecDriver(const ExecDriver&) = delete;
    ExecDriver& operator=(const ExecDriver&) = delete;
    virtual ~ExecDriver() = default;

    virtual std::string_view name() const = 0;

    /// Start, and wait until the program itself runs. After an error no process is left.
    /// Errors: not_found and permission_denied for the program, in the words that clients look for;
    ///         what the kernel refused, with the step; cancelled.
    virtual Task<ExecProcess> start(ExecRequest request) = 0;

    /// Carry out a sandbox's plan up to where its init waits to be handed over. After an error no
    /// process is left. Errors: what the kernel refused, with the step; cancelled.
    virtual Task<ParkedInit> park(ExecRequest request) = 0;

    /// Carry out a plan with a gate up to the gate, keep what it has mounted, and end its process.
    /// Errors: what the kernel refused, with the step; cancelled.
    virtual Task<MountedTree> mount_tree(ExecRequest request) = 0;
};

/// Errors: unsupported where the kernel lacks what davit-init needs.
Result<std::unique_ptr<ExecDriver>> native_exec_driver_make();

}  // namespace davit
