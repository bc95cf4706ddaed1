#pragma once
/// Exec: a further process of a running container, from POST /containers/{id}/exec to some time
/// after its end.
///
/// `created -> starting -> running -> exited`; a start that fails goes from starting to exited. The
/// client that starts one is its only client, and nothing that happens to the client ends the
/// process. The container's end is its end. Follows: Docker Engine API, operations ContainerExec,
/// ExecStart, ExecResize, ExecInspect.
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/container/container.h"
#include "jobs/container_streams.h"

namespace davit {

class Daemon;

/// As the client asked for it.
struct ExecConfig {
    bool attach_stdin = false;
    bool attach_stdout = false;
    bool attach_stderr = false;
    bool tty = false;
    bool privileged = false;
    /// The bytes that detach; absent: Docker's default.
    std::optional<std::string> detach_keys;
    std::string user;         // Empty: the container's.
    std::string working_dir;  // Empty: the container's.
    std::vector<std::string> env;
    std::vector<std::string> cmd;  // At least one.
    /// Height and width; zeros: unknown.
    std::array<std::uint32_t, 2> console_size{};
};

enum class ExecState : std::uint8_t { created, starting, running, exited };

/// The client that an exec's output goes to. Who writes to it holds `turn` and awaits under
/// `writes`.
struct ExecClient {
    std::shared_ptr<AttachedClient> connection;
    bool output = false;
    bool error = false;
    bool framed = true;
    AsyncMutex turn;
    CancelScope writes;

    /// Nothing is sent any more, and what is being sent is given up.
    void leave() { writes.cancel(); }
};

/// What exists from start until the last byte of output was taken.
struct ExecRun {
    PidRef process;
    /// As ContainerRun's.
    std::unique_ptr<FdStream> input;
    std::unique_ptr<FdStream> output;
    std::unique_ptr<FdStream> error;
    bool tty = false;
    /// Null for a detached one.
    std::shared_ptr<ExecClient> client;
    /// Takes the output of both streams in the daemon itself, if set; it must bound what it keeps.
    std::function<void(std::string_view)> captured;
    /// Waiting for output; cancelled some time after the process has ended, since others may hold
    /// its pipes open for good.
    CancelScope reads;
    /// All output was given to the client.
    AsyncEvent output_ended;
};

class Exec {
  public:
    Exec(std::shared_ptr<Container> container_in, ExecConfig config_in)
        : container(std::move(container_in)), config(std::move(config_in)) {}

    Exec(const Exec&) = delete;
    Exec& operator=(const Exec&) = delete;

    /// Wake everyone in wait_changed(): the state is another now.
    void changed() { waiters_.wake_all(); }

    /// Errors: cancelled.
    WaitList::Awaiter wait_changed() { return waiters_.wait(); }

    const ExecId id = ExecId::generate();
    const std::shared_ptr<Container> container;
    ExecConfig config;
    ExecState state = ExecState::created;
    int pid = 0;  // 0 before it started.
    std::optional<int> exit_code;
    std::shared_ptr<ExecRun> run;  // While running.

  private:
    WaitList waiters_;
};

/// POST /containers/{id}/exec. Errors: conflict (not running, or paused); resource_exhausted.
Result<std::shared_ptr<Exec>> exec_create(Daemon& daemon,
                                          std::shared_ptr<Container> container,
                                          ExecConfig config);

/// An exec whose container runs. Errors: not_found "No such exec instance: X", or its container was
/// removed; conflict (the container is stopped, or paused).
Result<std::shared_ptr<Exec>> exec_find_active(Daemon& daemon, std::string_view id);

/// It can be started. Errors: conflict (it runs, or has run).
Result<void> exec_startable(const Exec& exec);

/// POST /exec/{id}/start: returns when the program runs. The caller has looked at exec_startable().
/// Errors: in the words of Docker with runc; invalid_argument for the client's mistakes (no such
///         command, user or working directory); conflict (the container has ended). The exec has
///         the exit code that a shell would give by then: 127, 126.
/// Cancel: honoured until the program runs; the exec has failed then.
Task<std::shared_ptr<ExecRun>> exec_start(Job& job, Daemon& daemon, std::shared_ptr<Exec> exec);

/// Send the output to this client, or nobody (null), and follow the process to its end.
void exec_supervise(Daemon& daemon,
                    std::shared_ptr<Exec> exec,
                    std::shared_ptr<ExecRun> run,
                    std::shared_ptr<ExecClient> client);

/// Carry a client's input to the process, until its output has ended or the client goes; then end
/// the connection. Gives: true if the client typed its detach keys.
Task<bool> exec_attach(Job& job,
                       std::shared_ptr<Exec> exec,
                       std::shared_ptr<ExecRun> run,
                       std::shared_ptr<ExecClient> client);

/// POST /exec/{id}/resize: waits for the start, but not for long. Errors: not_found (it has ended);
/// timed_out.
Task<void> exec_resize(std::shared_ptr<Exec> exec, std::uint16_t height, std::uint16_t width);

/// "sh -c ls": the command as events show it.
std::string exec_command_text(const ExecConfig& config);

}  // namespace davit
