#pragma once
/// Records on their way to a logging service: this host's syslog(3) or journal, or a syslog server.
///
/// Nothing waits for the service: what it does not take at once is dropped, and counted. A
/// connection that breaks is made anew with the next record.
/// Follows: systemd's "Native Journal Protocol"; moby daemon/logger/journald.
#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/base/fd.h"

namespace davit {

/// syslog(3): what a line on stderr and on stdout is.
inline constexpr int severity_error = 3;
inline constexpr int severity_info = 6;

class DatagramSink {
  public:
    DatagramSink(const DatagramSink&) = delete;
    DatagramSink& operator=(const DatagramSink&) = delete;
    virtual ~DatagramSink() = default;

    /// One line, without its newline. Never waits.
    void send(bool is_error, std::string_view text);

    /// How many records the service did not take.
    std::uint64_t dropped() const { return dropped_; }

    const std::string& path() const { return path_; }

  protected:
    /// To a unix socket: connect() is still to be called.
    explicit DatagramSink(std::string path) : path_(std::move(path)) {}

    /// To a server, over a connected socket of UDP or TCP. Takes: name, for messages.
    DatagramSink(std::string name, Fd connected);

    /// The record as the service takes it.
    virtual std::string datagram(bool is_error, std::string_view text) const = 0;

    /// Errors: not_found (no such socket); unavailable (nobody listens).
    Result<void> connect();

  private:
    Result<void> path_to_peer();
    bool put(std::string_view bytes);

    std::string path_;
    Fd socket_;
    sockaddr_storage peer_{};
    socklen_t peer_bytes_ = 0;
    int type_ = SOCK_DGRAM;
    /// Of a stream: what is still to be sent of a record that was sent in part.
    std::string rest_;
    std::uint64_t dropped_ = 0;
};

/// Not in the words of an errno: clients take "no such file" for a missing command.
Error service_unavailable(const Error& error, const std::string& what, const std::string& path);

inline constexpr const char* journal_socket_path = "/run/systemd/journal/socket";

/// Takes:  fields: sent with every record, by name ("CONTAINER_ID"); socket_path: for tests.
/// Errors: unavailable: there is no journal on this host.
Result<std::unique_ptr<DatagramSink>> journal_sink_make(
    const std::map<std::string, std::string>& fields,
    std::string socket_path = journal_socket_path);

}  // namespace davit
