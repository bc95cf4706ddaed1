#pragma once
/// Context: what a command works with: the user's streams, the daemon, the configuration directory.
#include <optional>
#include <string>
#include <string_view>

#include "cli/api_client.h"
#include "reactor/base/result.h"

namespace davit::cli {

/// Text to a descriptor that a user or a pipe reads, gathered and written in large pieces. Blocks
/// while the reader is slow: fit for commands that have nothing else to do meanwhile.
class Output {
  public:
    explicit Output(int fd) : fd_(fd) {}

    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    ~Output() { flush(); }

    void write(std::string_view text);

    /// write(), and a newline.
    void line(std::string_view text);

    /// A reader that is gone ends the process as SIGPIPE does, since nobody is left to tell.
    void flush();

    /// The errno of the first write that failed; 0 if none did.
    int failure() const { return failure_; }

    int fd() const { return fd_; }

  private:
    int fd_;
    int failure_ = 0;
    std::string buffer_;
};

/// The three standard descriptors, replaceable by tests.
struct StandardFds {
    int in = 0;
    int out = 1;
    int err = 2;
};

class Context {
  public:
    /// host "": DAVIT_HOST, DOCKER_HOST or the default.
    Context(StandardFds fds, std::string host, std::string config_directory)
        : out(fds.out),
          err(fds.err),
          fds_(fds),
          host_(std::move(host)),
          config_directory_(std::move(config_directory)) {}

    Output out;
    Output err;

    const StandardFds& fds() const { return fds_; }

    /// The daemon's client; made on first use. Errors: invalid_argument for a malformed address.
    Result<ApiClient*> api();

    /// Where config.json lies: --config, DOCKER_CONFIG or ~/.docker.
    std::string config_directory() const;

  private:
    StandardFds fds_;
    std::string host_;
    std::string config_directory_;
    std::optional<ApiClient> api_;
};

/// getenv(3) as a string; "" if unset.
std::string environment_get(const char* name);

}  // namespace davit::cli
