#pragma once
/// Frames for tracing: the first packet of a connection, as it would be on a link, and back. Values
/// without a kernel. Follows: RFC 791, 8200, 9293, 768.
#include <cstdint>
#include <string>
#include <string_view>

#include "drivers/net/address.h"

namespace davit {

struct TraceTuple {
    /// Of one family.
    IpAddress from;
    IpAddress to;
    std::uint16_t from_port = 0;
    std::uint16_t to_port = 0;
    /// IPPROTO_TCP: its SYN; IPPROTO_UDP: an empty datagram.
    std::uint8_t protocol = 0;

    /// "tcp 10.0.0.1:40000 -> 10.0.0.2:80"
    std::string str() const;

    bool operator==(const TraceTuple&) const = default;
};

/// An Ethernet frame, with the checksums that it needs.
std::string trace_frame_write(const TraceTuple& tuple,
                              const MacAddress& from_mac,
                              const MacAddress& to_mac);

/// Errors: corrupt (not such a frame).
Result<TraceTuple> trace_frame_read(std::string_view frame);

}  // namespace davit
