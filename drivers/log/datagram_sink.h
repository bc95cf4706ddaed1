#pragma once
/// Records on their way to a logging service of this host: syslog(3)'s, or the journal.
///
/// Nothing waits for the service: what it does not take at once is dropped, and counted.
/// Follows: RFC 3164; systemd's "Native Journal Protocol"; moby daemon/logger/syslog, /journald.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/base/fd.h"

namespace davit {

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
    explicit DatagramSink(std::string path) : path_(std::move(path)) {}

    /// The record as the service takes it.
    virtual std::string datagram(bool is_error, std::string_view text) const = 0;

    /// Errors: not_found (no such socket); unavailable (nobody listens).
    Result<void> connect();

  private:
    std::string path_;
    Fd socket_;
    std::uint64_t dropped_ = 0;
};

struct SyslogOptions {
    /// Empty: the first of the usual places that exists.
    std::string socket_path;
    int facility = 3;  // daemon
    std::string tag;
    /// Empty: none, as a local syslog expects.
    std::string host_name;
};

/// Errors: unavailable, saying which socket is missing or has nobody behind it.
Result<std::unique_ptr<DatagramSink>> syslog_sink_make(SyslogOptions options);

/// The number of "daemon", "local0", ..., or of a number's text. Errors: invalid_argument.
Result<int> syslog_facility_parse(std::string_view text);

inline constexpr const char* journal_socket_path = "/run/systemd/journal/socket";

/// Takes:  fields: sent with every record, by name ("CONTAINER_ID"); socket_path: for tests.
/// Errors: unavailable: there is no journal on this host.
Result<std::unique_ptr<DatagramSink>> journal_sink_make(
    const std::map<std::string, std::string>& fields,
    std::string socket_path = journal_socket_path);

}  // namespace davit
