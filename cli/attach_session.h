#pragma once
/// AttachSession: the user's terminal or pipes joined with those of a container or an exec, until
/// its output ends.
///
/// Made before the container starts: from then on signals are kept, and forwarded as soon as run()
/// is there, so that none is lost or kills the client in between. run() puts the terminal into raw
/// mode where the container has one, forwards input (an end of input closes only the container's
/// stdin), follows the window's size, and writes output as it comes.
#include <memory>
#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/detach_keys.h"
#include "cli/signal_stream.h"
#include "http/client.h"

namespace davit::cli {

class FrameReader;
class RawMode;
class StdioStream;

/// Query and body of a create, for POST /davit/run (http/api/container_run.h).
struct RunRequest {
    Query query;
    std::string body;
};

struct AttachOptions {
    /// Id or name; not used for an exec, and told by the daemon for a run.
    std::string container;
    /// Create and start a container, too, and wait for its end: all in the one request.
    std::optional<RunRequest> run;
    /// An exec instead of a container: its id, and the body of the request that starts it.
    std::string exec;
    std::string exec_start;
    /// The container has a terminal: its output is one plain stream.
    bool tty = false;
    bool input = false;
    bool output = true;
    bool error = true;
    /// Forward signals to the container's process.
    bool sig_proxy = true;
    /// "" for the default.
    std::string detach_keys;
};

enum class AttachEnd { output_ended, detached };

class AttachSession {
  public:
    /// Errors: invalid_argument for bad detach keys, or a terminal that is none.
    static Result<std::unique_ptr<AttachSession>> make(Context& context,
                                                       ApiClient& api,
                                                       AttachOptions options);

    ~AttachSession();
    AttachSession(const AttachSession&) = delete;
    AttachSession& operator=(const AttachSession&) = delete;

    /// The attachment itself; the container may not have started yet. An exec or a run is started
    /// by it.
    Task<ClientHijacked> connect();

    /// Until the output ends or the detach keys are typed.
    /// Errors: the stream's; cancelled.
    Task<AttachEnd> run(ClientHijacked connection);

    /// Of a run, once it is connected: the container's id, and what create warns of (JSON, or "").
    const std::string& container() const { return options_.container; }

    const std::string& warnings() const { return warnings_; }

    /// How a run ended, as JSON; "" if the daemon did not say.
    const std::string& end() const { return end_; }

  private:
    AttachSession(Context& context, ApiClient& api, AttachOptions options, DetachKeys keys);

    Task<void> pump_input(ByteStream& stream, CancelScope& output_scope);
    Task<void> pump_output(ClientHijacked& connection);
    Task<void> write_output(std::string_view bytes);
    Task<void> write_to(int fd, std::string_view bytes);
    Task<void> forward_signals();
    Task<void> resize();
    std::string path(std::string_view verb) const;

    Context& context_;
    ApiClient& api_;
    AttachOptions options_;
    DetachKeys detach_keys_;
    std::string warnings_;
    std::string end_;
    bool detached_ = false;
    std::unique_ptr<SignalStream> signals_;
    std::unique_ptr<StdioStream> out_;
    std::unique_ptr<StdioStream> err_;
    RawMode* raw_mode_ = nullptr;
    std::unique_ptr<FrameReader> frames_;
};

/// The process ends as one does whose reader is gone.
[[noreturn]] void die_of_broken_pipe();

}  // namespace davit::cli
