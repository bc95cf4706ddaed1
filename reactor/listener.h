#pragma once
/// Listener: a listening unix or TCP socket on the loop.
#include <string>

#include "reactor/stream.h"

namespace davit {

class Listener {
  public:
    /// Listen on a unix socket with this mode. A socket file that nobody listens on is replaced.
    /// Errors: conflict when somebody does.
    static Result<Listener> unix_socket(const std::string& path, mode_t mode = 0660);

    /// Listen on a numeric address; port 0 takes a free one (see port()).
    static Result<Listener> tcp(const std::string& address, std::uint16_t port);

    /// One that listens already; port: what port() gives.
    static Result<Listener> take(Fd listening, std::uint16_t port);

    /// The next connection. Running out of descriptors is not an error: it waits until one is free.
    /// Errors: cancelled.
    Task<std::unique_ptr<FdStream>> accept();

    std::uint16_t port() const { return port_; }

  private:
    Listener(Fd fd, Poller poller, std::uint16_t port)
        : fd_(std::move(fd)), poller_(std::move(poller)), port_(port) {}

    Fd fd_;
    Poller poller_;
    std::uint16_t port_;
};

}  // namespace davit
