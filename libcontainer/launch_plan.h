#pragma once
/// The launch plan: a ContainerSpec compiled to the flat buffer that davit-init executes, so that
/// starting a container only executes what creating it decided. The format is init/plan_format.h.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcontainer/spec.h"

namespace davit {

/// What a plan expects behind each passed descriptor, in the order of LaunchRequest::registers.
enum class RegisterKind : std::uint8_t {
    rootfs,
    namespace_user,
    namespace_network,
    namespace_ipc,
    namespace_uts,
    namespace_cgroup,
    namespace_pid,  // A pidfd will do for any namespace.
    mount,
    process,  // A pidfd.
    source,   // LaunchPlan::sources, one after the other.
    start,    // PlanOptions::start_later: a FIFO that is open for reading and writing.
};

/// Something of the host's that is bound into the container.
struct MountSource {
    std::string path = {};
    bool recursive = true;
};

struct LaunchPlan {
    std::string bytes = {};
    /// The rootfs is the first; of exec_plan_compile() (exec_plan.h) the container's init.
    std::vector<RegisterKind> registers = {};
    std::uint64_t clone_flags = 0;  // CLONE_NEW* for launch().
    /// The program will be another child than the one that launch() gives: InitEvent::process.
    bool forks = false;
    /// PlanOptions::in_sandbox: detached copies of these (mount_source_open()) are among the
    /// registers.
    std::vector<MountSource> sources = {};
};

struct PlanOptions {
    /// Init stops before it loads the seccomp filter and executes, and waits for launch_release().
    /// With a joined pid namespace it is the process in there that stops, behind the filter.
    bool gate = false;
    /// It stops before it enters the root, too: namespaces are made, and the host's files are seen.
    bool early_gate = false;
    /// Once released from the gate it waits for a byte from a FIFO, so that who launched it may go.
    /// That the program is there is found out before.
    bool start_later = false;
    /// For the init that has followed sandbox_plan_compile() of the same spec, and sees nothing of
    /// the host's any more.
    bool in_sandbox = false;
};

/// A plan that joins a pid namespace forks, for setns(2) gives it to children only: all is set up
/// outside, and what appears in the namespace has no more power than the program will have. So it
/// cannot mount a procfs that shows the namespace: the spec has one as a prepared mount.
/// With ids, it begins with the daemon's power, for what only that can do: enter cgroups, open what
/// is bound, make device nodes. Then it joins the user namespace, makes the other namespaces, which
/// so belong to that, and forks into them; what of the host's it has by then are descriptors.
/// Errors: invalid_argument (no command, a target that is not absolute, an embedded NUL, a joined
///         pid namespace without such a procfs); resource_exhausted (beyond plan::registers_max or
///         plan::plan_bytes_max).
Result<LaunchPlan> plan_compile(const ContainerSpec& spec, PlanOptions options = {});

/// A sandbox is all of a container that depends neither on its image nor on its command:
/// namespaces, cgroups, the file systems at /proc, /dev and /sys with what is masked in them. Its
/// plan ends with an init that waits to be handed over (launch.h) to a container whose sandbox plan
/// is the same, byte for byte. It has no registers. Errors: unsupported (a container that shares or
/// joins a pid, network, ipc or cgroup namespace, is
///         in a user namespace, or has mounts or devices of its own that do not allow it);
///         resource_exhausted.
Result<LaunchPlan> sandbox_plan_compile(const ContainerSpec& spec);

/// Whether an absolute path is at or below /proc, /dev or /sys, where a sandbox has what it brings.
bool is_sandbox_path(std::string_view path);

/// One decoded operation, for tests and tools.
struct PlanStep {
    std::string name = {};                  // "mount", "exec", ...
    std::uint16_t kind = 0;                 // plan::Kind
    std::vector<std::string> strings = {};  // Empty for raw data.
};

/// Validate a buffer exactly as davit-init does. Total: any bytes give a value or an error.
/// Errors: corrupt.
Result<std::vector<PlanStep>> plan_decode(std::string_view bytes);

}  // namespace davit
