#pragma once
/// Launch: clone davit-init into its namespaces and cgroup, hand it a plan, and hear how it went.
///
/// launch() returns as soon as the new process has exec'd davit-init. From then on the channel
/// speaks: poll it for reading and call init_channel_receive() until it says `started` (the
/// container's own program is running) or `failed`. With PlanOptions::gate, `ready` comes first and
/// init waits for launch_release(); closing the channel instead makes it exit. The process is a
/// child of the caller: reap it with PidRef::try_reap(), also after a failure.
///
/// With a plan that forks (LaunchPlan::forks) it ends by itself, and a second child of the caller
/// that the `process` event gives becomes the program: read to `closed` also after `failed`, then
/// reap both.
///
/// Follows: clone(2) "clone3", execveat(2), unix(7).
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "libcontainer/launch_plan.h"
#include "reactor/base/pid_ref.h"

namespace davit {

/// Everything is borrowed for the duration of the call.
struct LaunchRequest {
    /// init_binary_open().
    int init_fd = -1;
    /// plan_memory_file(plan): may be made when the container is created.
    int plan_fd = -1;
    std::uint64_t clone_flags = 0;  // LaunchPlan::clone_flags
    /// As LaunchPlan::registers lists them.
    std::span<const int> registers = {};
    /// Standard input, output, error; -1 is /dev/null.
    std::array<int, 3> stdio = {-1, -1, -1};
    /// An open directory of the v2 hierarchy to be born in (CLONE_INTO_CGROUP); -1: none.
    int cgroup_fd = -1;
};

struct Launched {
    PidRef init;
    Fd channel;  // Non-blocking.
};

/// The plan as a sealed memory file.
Result<Fd> plan_memory_file(const LaunchPlan& plan);

/// Blocks: until the child has exec'd davit-init; a fraction of a millisecond, most of it creating
/// namespaces. Errors: resource_exhausted (pids, memory); permission_denied; not_found (cgroup
/// gone). No process is left.
Result<Launched> launch(const LaunchRequest& request);

/// What an init that waits at the end of a sandbox's plan gets. Everything is borrowed.
struct HandOver {
    /// plan_memory_file() of a plan compiled with PlanOptions::in_sandbox.
    int plan_fd = -1;
    /// As LaunchPlan::registers lists them.
    std::span<const int> registers = {};
    /// Standard input, output, error; -1 is /dev/null.
    std::array<int, 3> stdio = {-1, -1, -1};
};

/// As many registers as one message can carry (unix(7), SCM_MAX_FD).
inline constexpr std::size_t hand_over_registers_max = 249;

/// Give an init that said `ready` the container to become; from then on the channel speaks as after
/// launch(). Errors: unavailable (it has died); invalid_argument (too many registers).
Result<void> launch_hand_over(int channel, const HandOver& given);

/// Let an init that said `ready` go on. Errors: unavailable (it has died).
Result<void> launch_release(int channel);

/// What init says.
struct InitEvent {
    enum class Kind : std::uint8_t {
        ready,    // Waiting for launch_release().
        warning,  // `text`: something was degraded; goes on.
        console,  // `console`: the master of the container's terminal.
        process,  // `process`: the child of ours that becomes the program (LaunchPlan::forks).
        failed,   // `error`: set-up or exec failed; init exits.
        closed,  // The program was executed, or init died silently (killed): its exit status tells.
    };

    Kind kind = Kind::closed;
    std::string text = {};
    pid_t sender = 0;  // Who said it.
    Fd console;
    PidRef process = {};
    std::optional<Error> error = {};
};

/// The next event, nothing if none is there yet.
/// Takes:  the only processes that are listened to, by the kernel's word (SCM_CREDENTIALS); empty:
///         anybody. A container with CAP_SYS_PTRACE may take the channel from a process that is
///         about to be its own, and speak on it.
/// Errors: corrupt; any of recvmsg(2).
Result<std::optional<InitEvent>> init_channel_receive(int channel,
                                                      std::span<const pid_t> senders = {});

/// Decode one datagram of the channel; pure. Errors: corrupt.
/// The Error inside a `failed` event uses the words clients look for: `exec: "foo": executable file
/// not found in $PATH` and `exec: "/foo": stat /foo: no such file or directory` (not_found), `exec:
/// "/foo": permission denied` and `exec: "/foo": is a directory: permission denied`
/// (permission_denied), else step, subject, call and reason.
Result<InitEvent> init_message_decode(std::string_view datagram);

}  // namespace davit
