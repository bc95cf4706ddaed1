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

struct AttachOptions {
    /// Id or name; not used for an exec.
    std::string container;
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

    /// The attachment itself; the container may not have started yet. An exec is started by it.
    Task<ClientHijacked> connect();

    /// Until the output ends or the detach keys are typed.
    /// Errors: the stream's; cancelled.
    Task<AttachEnd> run(ClientHijacked connection);

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
