#include "drivers/net/trace_frame.h"

#include <net/ethernet.h>
#include <netinet/in.h>

#include <algorithm>

namespace davit {

namespace {

constexpr std::size_t mac_bytes = 6;
constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t ipv4_bytes = 20;
constexpr std::size_t ipv6_bytes = 40;
constexpr std::size_t tcp_bytes = 20;
constexpr std::size_t udp_bytes = 8;
constexpr char hops = 64;
constexpr char tcp_syn = 2;

void put16(std::string& out, std::size_t at, std::size_t value) {
    out[at] = static_cast<char>(value >> 8 & 0xff);
    out[at + 1] = static_cast<char>(value & 0xff);
}

std::uint16_t get16(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

/// The Internet checksum's sum (RFC 1071), not folded; bytes are an even number.
std::uint32_t sum_of(std::string_view bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        sum += get16(bytes, i);
    }
    return sum;
}

std::uint16_t checksum(std::uint32_t sum) {
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    const auto folded = static_cast<std::uint16_t>(~sum & 0xffff);
    return folded == 0 ? 0xffff : folded;
}

std::string address_bytes(const IpAddress& address) {
    const std::size_t skipped = address.is_v4() ? 12 : 0;
    const auto& bytes = address.bytes();
    return std::string(bytes.begin() + static_cast<std::ptrdiff_t>(skipped), bytes.end());
}

std::string segment_of(const TraceTuple& tuple) {
    const bool is_tcp = tuple.protocol == IPPROTO_TCP;
    std::string segment(is_tcp ? tcp_bytes : udp_bytes, '\0');
    put16(segment, 0, tuple.from_port);
    put16(segment, 2, tuple.to_port);
    if (is_tcp) {
        segment[12] = 0x50;  // Five words of header.
        segment[13] = tcp_syn;
        put16(segment, 14, 0xffff);
    } else {
        put16(segment, 4, segment.size());
    }
    const std::uint32_t pseudo = sum_of(address_bytes(tuple.from)) +
                                 sum_of(address_bytes(tuple.to)) + tuple.protocol +
                                 static_cast<std::uint32_t>(segment.size());
    put16(segment, is_tcp ? 16 : 6, checksum(pseudo + sum_of(segment)));
    return segment;
}

std::string ip_header(const TraceTuple& tuple, std::size_t payload_bytes) {
    const bool is_v4 = tuple.from.is_v4();
    std::string header(is_v4 ? 12 : 8, '\0');
    if (is_v4) {
        header[0] = 0x45;
        put16(header, 2, ipv4_bytes + payload_bytes);
        header[8] = hops;
        header[9] = static_cast<char>(tuple.protocol);
    } else {
        header[0] = 0x60;
        put16(header, 4, payload_bytes);
        header[6] = static_cast<char>(tuple.protocol);
        header[7] = hops;
    }
    header += address_bytes(tuple.from) + address_bytes(tuple.to);
    if (is_v4) {
        put16(header, 10, checksum(sum_of(header)));
    }
    return header;
}

IpAddress address_at(std::string_view bytes, std::size_t at, bool is_v4) {
    if (is_v4) {
        return IpAddress::v4(static_cast<std::uint32_t>(get16(bytes, at)) << 16 |
                             get16(bytes, at + 2));
    }
    std::array<std::uint8_t, 16> six{};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), six.size(), six.begin());
    return IpAddress::from_bytes(six);
}

std::string endpoint_text(const IpAddress& address, std::uint16_t port) {
    const std::string text = address.unset() ? "::" : address.str();
    return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

}  // namespace

std::string TraceTuple::str() const {
    return std::string(protocol == IPPROTO_TCP ? "tcp " : "udp ") + endpoint_text(from, from_port) +
           " -> " + endpoint_text(to, to_port);
}

std::string trace_frame_write(const TraceTuple& tuple,
                              const MacAddress& from_mac,
                              const MacAddress& to_mac) {
    std::string frame(ethernet_bytes, '\0');
    std::copy(to_mac.begin(), to_mac.end(), frame.begin());
    std::copy(from_mac.begin(), from_mac.end(), frame.begin() + mac_bytes);
    put16(frame, 2 * mac_bytes, tuple.from.is_v4() ? ETHERTYPE_IP : ETHERTYPE_IPV6);
    const std::string segment = segment_of(tuple);
    return frame + ip_header(tuple, segment.size()) + segment;
}

Result<TraceTuple> trace_frame_read(std::string_view frame) {
    const Error other(ErrorKind::corrupt, "a frame that is no first packet of a connection");
    if (frame.size() < ethernet_bytes + ipv4_bytes) {
        return other;
    }
    const bool is_v4 = get16(frame, 2 * mac_bytes) == ETHERTYPE_IP;
    const std::size_t header_bytes = is_v4 ? ipv4_bytes : ipv6_bytes;
    const std::string_view packet = frame.substr(ethernet_bytes);
    if (packet.size() < header_bytes + udp_bytes) {
        return other;
    }
    TraceTuple tuple;
    tuple.protocol = static_cast<std::uint8_t>(packet[is_v4 ? 9 : 6]);
    const std::size_t addresses = is_v4 ? 12 : 8;
    tuple.from = address_at(packet, addresses, is_v4);
    tuple.to = address_at(packet, addresses + (is_v4 ? 4 : 16), is_v4);
    tuple.from_port = get16(packet, header_bytes);
    tuple.to_port = get16(packet, header_bytes + 2);
    if (tuple.protocol != IPPROTO_TCP && tuple.protocol != IPPROTO_UDP) {
        return other;
    }
    return tuple;
}

}  // namespace davit
