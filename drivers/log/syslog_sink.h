#pragma once
/// Records for syslog: this host's, or a server's.
///
/// Follows: RFC 3164, RFC 5424; moby daemon/logger/syslog, which ends a record on TCP with a
/// newline (RFC 6587, section 3.4.2).
#include <memory>
#include <string>
#include <string_view>

#include "drivers/log/datagram_sink.h"

namespace davit {

enum class SyslogFormat : std::uint8_t {
    local,         // As syslog(3) writes, without a host.
    rfc3164,       // With it.
    rfc5424,       // Structured, seconds.
    rfc5424_micro  // Microseconds.
};

/// A server in the network.
struct SyslogServer {
    std::string host;
    std::uint16_t port = 514;
    bool tcp = false;

    bool operator==(const SyslogServer&) const = default;
};

struct SyslogOptions {
    /// Empty: the first of the usual places that exists.
    std::string socket_path;
    int facility = 3;  // daemon
    std::string tag;
    SyslogFormat format = SyslogFormat::local;
    std::string host_name;
};

/// Errors: unavailable, saying which socket is missing or has nobody behind it.
Result<std::unique_ptr<DatagramSink>> syslog_sink_make(SyslogOptions options);

/// To a server. Takes: a socket from syslog_connect().
std::unique_ptr<DatagramSink> syslog_sink_make(SyslogOptions options,
                                               const SyslogServer& server,
                                               Fd connected);

/// Takes:  address: numeric, of server.host.
/// Errors: unavailable (nobody listens, or answers within a few seconds).
/// Blocks: until a TCP connection is there; through offload_bulk().
Result<Fd> syslog_connect(const SyslogServer& server, const std::string& address);

/// The number of "daemon", "local0", ..., or of a number's text. Errors: invalid_argument.
Result<int> syslog_facility_parse(std::string_view text);

/// "", "rfc3164", "rfc5424", "rfc5424micro". Errors: invalid_argument.
Result<SyslogFormat> syslog_format_parse(std::string_view text);

}  // namespace davit
