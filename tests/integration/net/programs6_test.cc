// Goal: the packet programs treat IPv6 as they treat IPv4, and neighbour discovery tells no lies.
// Method: as programs_test.cc; packets are built from a transport header upwards, with extension
// headers in between where a case wants some.
#include "tests/integration/net/programs_support.h"

using namespace davit;

namespace {

constexpr std::size_t ip_at = 14;
constexpr std::size_t ip_bytes = 40;
constexpr std::size_t transport_at = ip_at + ip_bytes;
constexpr std::uint8_t hop_by_hop = 0;
constexpr std::uint8_t next_fragment = 44;
constexpr std::uint8_t destination_options = 60;
constexpr std::uint8_t echo = 128;
constexpr std::uint8_t router_advertisement = 134;
constexpr std::uint8_t neighbour_solicitation = 135;
constexpr std::uint8_t neighbour_advertisement = 136;
constexpr std::uint8_t redirect = 137;

std::string bytes_of(const char* address) {
    const auto bytes = ip(address).bytes();
    return {bytes.begin(), bytes.end()};
}

/// Of a transport header with its pseudo header: 0 if the checksum in it is right.
std::uint16_t check_of(const std::string& addresses,
                       const std::string& transport,
                       std::uint8_t protocol) {
    std::string pseudo = addresses + std::string(8, '\0');
    put16(pseudo, 34, static_cast<std::uint16_t>(transport.size()));
    pseudo[39] = static_cast<char>(protocol);
    return sum16(pseudo + transport);
}

/// Headers between that of IPv6 and the transport's: the bytes, and what the first one is.
struct Extensions {
    std::uint8_t first = 0;
    std::string bytes;
};

struct Packet6 {
    const char* from;
    const char* to;
    std::uint8_t protocol;
    std::string transport;
    std::size_t check_at;
};

std::string packet6(Packet6 made, const Extensions& extensions = {}) {
    const std::string addresses = bytes_of(made.from) + bytes_of(made.to);
    put16(made.transport, made.check_at, check_of(addresses, made.transport, made.protocol));
    std::string out(ip_at, '\0');
    const MacAddress mac = mac_of(ip(made.to));
    std::memcpy(out.data(), mac.data(), mac.size());
    put16(out, 12, 0x86dd);
    out += std::string("\x60\0\0\0\0\0", 6);
    put16(out,
          ip_at + 4,
          static_cast<std::uint16_t>(made.transport.size() + extensions.bytes.size()));
    out += static_cast<char>(extensions.bytes.empty() ? made.protocol : extensions.first);
    out += static_cast<char>(64);
    return out + addresses + extensions.bytes + made.transport;
}

struct Segment6 {
    const char* from;
    const char* to;
    std::uint16_t sport = 40000;
    std::uint16_t dport = 80;
    std::uint8_t flags = syn;
};

std::string tcp6(const Segment6& segment, const Extensions& extensions = {}) {
    std::string head(20, '\0');
    put16(head, 0, segment.sport);
    put16(head, 2, segment.dport);
    head[12] = 0x50;
    head[13] = static_cast<char>(segment.flags);
    return packet6({segment.from, segment.to, IPPROTO_TCP, head, 16}, extensions);
}

/// Type, code, checksum, four bytes, and then `rest`: a target, or what an error quotes.
std::string icmp6(const char* from,
                  const char* to,
                  std::uint8_t type,
                  const std::string& rest = "",
                  const Extensions& extensions = {}) {
    std::string head(8, '\0');
    head[0] = static_cast<char>(type);
    return packet6({from, to, IPPROTO_ICMPV6, head + rest, 2}, extensions);
}

struct Outcome6 : Ran {
    std::string source() const { return shown(ip_at + 8); }

    std::string destination() const { return shown(ip_at + 24); }

    std::uint16_t sport() const { return get16(packet, transport_at); }

    std::uint16_t dport() const { return get16(packet, transport_at + 2); }

    int hop_limit() const { return packet[ip_at + 7]; }

    /// Of a packet without extension headers: 0 if the transport's checksum is right.
    std::uint16_t check() const {
        return check_of(packet.substr(ip_at + 8, 32),
                        packet.substr(transport_at),
                        static_cast<std::uint8_t>(packet[ip_at + 6]));
    }

    std::string shown(std::size_t at) const {
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), packet.data() + at, bytes.size());
        return IpAddress::from_bytes(bytes).str();
    }
};

Outcome6 from_container_run(const std::string& packet) {
    return {run_program(Host::get().programs->from_container_fd(), packet)};
}

Outcome6 from_uplink_run(const std::string& packet) {
    return {run_program(Host::get().programs->from_uplink_fd(), packet)};
}

int from_container(const std::string& packet) {
    return from_container_run(packet).verdict;
}

int from_uplink(const std::string& packet) {
    return from_uplink_run(packet).verdict;
}

/// One header of eight bytes that names the next.
std::string extension(std::uint8_t next) {
    return std::string(1, static_cast<char>(next)) + std::string("\0\x01\x04\0\0\0\0", 7);
}

}  // namespace

TEST_CASE("IPv6: a source that is not the container's own is dropped", "[bpf][ipv6]") {
    for (const char* source : {"fd88:1::99", "fe80::1", "::1"}) {
        const std::uint64_t before = counted("drop_spoofed");
        CHECK(from_container(tcp6({source, "fd88:1::3"})) == TC_ACT_SHOT);
        CHECK(counted("drop_spoofed") == before + 1);
    }
}

TEST_CASE("what stands for IPv4 in the tables is nobody's address in IPv6", "[bpf][ipv6]") {
    const std::uint64_t before = counted("drop_malformed");
    CHECK(from_container(tcp6({"::ffff:10.88.1.2", "fd88:1::3"})) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"fd88:1::2", "::ffff:10.88.1.3"})) == TC_ACT_SHOT);
    CHECK(counted("drop_malformed") == before + 2);
    CHECK(from_uplink(tcp6({"2001:db8::9", "::ffff:10.88.1.2"})) == unspecified);
}

TEST_CASE("IPv6: within a network, and not between networks", "[bpf][ipv6]") {
    const std::string within = tcp6({"fd88:1::2", "fd88:1::3"});
    const Ran ran = run_program(Host::get().programs->from_container_fd(), within);
    CHECK(ran.verdict == TC_ACT_REDIRECT);
    CHECK(ran.packet == within);
    const std::uint64_t before = counted("drop_other_network");
    CHECK(from_container(tcp6({"fd88:1::2", "fd88:2::2"})) == TC_ACT_SHOT);
    CHECK(from_container(icmp6("fd88:1::2", "fd88:2::2", echo)) == TC_ACT_SHOT);
    CHECK(counted("drop_other_network") == before + 2);
    CHECK(from_container(tcp6({"fd88:4::2", "fd88:4::3"})) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"fd88:1::2", "ff02::fb"})) == unspecified);
}

TEST_CASE("IPv6: an internal network has no way out", "[bpf][ipv6]") {
    CHECK(from_container(tcp6({"fd88:3::2", "2001:db8:9::9"})) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"fd88:3::2", "2001:db8::1"})) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"fd88:3::2", "fd88:1::1"})) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"fd88:3::2", "fd88:3::1"})) == unspecified);
}

TEST_CASE("IPv6: a container's address is nobody's from outside", "[bpf][ipv6]") {
    CHECK(from_uplink(tcp6({"2001:db8:9::9", "fd88:1::2"})) == TC_ACT_SHOT);
    CHECK(from_uplink(tcp6({"2001:db8:9::9", "2001:db8::1"})) == unspecified);
    CHECK(from_uplink(icmp6("2001:db8::9", "ff02::1:ff00:1", neighbour_solicitation)) ==
          unspecified);
}

TEST_CASE("neighbour discovery tells of the container's own address alone", "[bpf][ipv6]") {
    const auto told = [](const char* from, std::uint8_t type, const char* target) {
        return from_container(icmp6(from, "ff02::1", type, bytes_of(target)));
    };
    CHECK(told("fd88:1::2", neighbour_solicitation, "fd88:1::1") == unspecified);
    CHECK(told("fd88:1::2", neighbour_advertisement, "fd88:1::2") == unspecified);
    // To the one that asked, past the bridge.
    CHECK(from_container(
              icmp6("fd88:1::2", "fd88:1::3", neighbour_advertisement, bytes_of("fd88:1::2"))) ==
          TC_ACT_REDIRECT);
    const std::uint64_t before = counted("drop_spoofed");
    CHECK(told("fd88:1::2", neighbour_advertisement, "fd88:1::1") == TC_ACT_SHOT);
    CHECK(told("fd88:1::2", router_advertisement, "fd88:1::2") == TC_ACT_SHOT);
    CHECK(told("fd88:1::2", redirect, "fd88:1::2") == TC_ACT_SHOT);
    CHECK(told("fd88:1::3", neighbour_advertisement, "fd88:1::2") == TC_ACT_SHOT);
    CHECK(counted("drop_spoofed") == before + 4);
}

TEST_CASE("without an address one may ask and join, no more", "[bpf][ipv6]") {
    const std::string target = bytes_of("fd88:1::2");
    CHECK(from_container(icmp6("::", "ff02::1:ff00:2", neighbour_solicitation, target)) ==
          unspecified);
    constexpr std::uint8_t listener_report = 143;
    CHECK(from_container(icmp6(
              "::", "ff02::16", listener_report, "", {hop_by_hop, extension(IPPROTO_ICMPV6)})) ==
          unspecified);
    CHECK(from_container(icmp6("::", "ff02::1", neighbour_advertisement, target)) == TC_ACT_SHOT);
    CHECK(from_container(icmp6("::", "fd88:1::3", neighbour_solicitation, target)) == TC_ACT_SHOT);
    CHECK(from_container(icmp6("::", "ff02::1", echo)) == TC_ACT_SHOT);
    CHECK(from_container(tcp6({"::", "ff02::1"})) == TC_ACT_SHOT);
}

TEST_CASE("a lie behind extension headers is one, too", "[bpf][ipv6]") {
    const std::string lie = bytes_of("fd88:1::1");
    std::string headers = extension(destination_options) + extension(IPPROTO_ICMPV6);
    CHECK(from_container(
              icmp6("fd88:1::2", "ff02::1", neighbour_advertisement, lie, {hop_by_hop, headers})) ==
          TC_ACT_SHOT);
    headers = extension(destination_options) + extension(destination_options) +
              extension(destination_options) + extension(destination_options) +
              extension(IPPROTO_ICMPV6);
    const std::uint64_t before = counted("drop_malformed");
    CHECK(from_container(icmp6("fd88:1::2",
                               "ff02::1",
                               neighbour_advertisement,
                               lie,
                               {destination_options, headers})) == TC_ACT_SHOT);
    CHECK(counted("drop_malformed") == before + 1);
    // A header that says to be longer than the packet.
    headers = extension(IPPROTO_ICMPV6);
    headers[1] = '\x7f';
    CHECK(from_container(icmp6("fd88:1::2", "ff02::1", echo, "", {hop_by_hop, headers})) ==
          unspecified);
    CHECK(from_container(tcp6({"fd88:1::2", "fd88:1::3"},
                              {next_fragment, std::string("\x06\0\0\x01\0\0\0\x07", 8)})) ==
          TC_ACT_REDIRECT);
}

TEST_CASE("IPv6: a published port from outside, and its answers", "[bpf][ipv6]") {
    const Outcome6 in = from_uplink_run(tcp6({"2001:db8:9::9", "2001:db8::1", 50000, 8080}));
    CHECK(in.verdict == TC_ACT_REDIRECT);
    CHECK(in.source() == "2001:db8:9::9");
    CHECK(in.destination() == "fd88:1::2");
    CHECK(in.sport() == 50000);
    CHECK(in.dport() == 80);
    CHECK(in.hop_limit() == 63);
    CHECK(in.check() == 0);
    constexpr std::uint8_t answer = syn | ack;
    const Outcome6 out =
        from_container_run(tcp6({"fd88:1::2", "2001:db8:9::9", 80, 50000, answer}));
    CHECK(out.verdict == TC_ACT_REDIRECT);
    CHECK(out.source() == "2001:db8::1");
    CHECK(out.sport() == 8080);
    CHECK(out.check() == 0);
    // What begins nothing, and ports that are not published, are the stack's.
    CHECK(from_uplink(tcp6({"2001:db8:9::9", "2001:db8::1", 50001, 8080, ack})) == unspecified);
    CHECK(from_uplink(tcp6({"2001:db8:9::9", "2001:db8::1", 50001, 8081})) == unspecified);
}

TEST_CASE("IPv6: behind extension headers a port is found, too", "[bpf][ipv6]") {
    const Extensions some{destination_options, extension(IPPROTO_TCP)};
    const Outcome6 in = from_uplink_run(tcp6({"2001:db8:9::7", "2001:db8::1", 50000, 8080}, some));
    CHECK(in.verdict == TC_ACT_REDIRECT);
    CHECK(in.destination() == "fd88:1::2");
    CHECK(get16(in.packet, transport_at + some.bytes.size() + 2) == 80);
}

TEST_CASE("IPv6: hairpin, seen as the gateway of the published one", "[bpf][ipv6]") {
    for (const char* client : {"fd88:1::3", "fd88:2::2", "fd88:1::2"}) {
        const Outcome6 out = from_container_run(tcp6({client, "2001:db8::1", 41000, 8080}));
        CHECK(out.verdict == TC_ACT_REDIRECT);
        CHECK(out.source() == "fd88:1::1");
        CHECK(out.destination() == "fd88:1::2");
        CHECK(out.dport() == 80);
        CHECK(out.check() == 0);
        constexpr std::uint8_t answer = syn | ack;
        const Outcome6 back =
            from_container_run(tcp6({"fd88:1::2", "fd88:1::1", 80, out.sport(), answer}));
        CHECK(back.verdict == TC_ACT_REDIRECT);
        CHECK(back.source() == "2001:db8::1");
        CHECK(back.destination() == client);
        CHECK(back.sport() == 8080);
        CHECK(back.dport() == 41000);
        CHECK(back.check() == 0);
    }
    CHECK(from_container(tcp6({"fd88:3::2", "2001:db8::1", 41000, 8080})) == TC_ACT_SHOT);
}

TEST_CASE("IPv6: an error goes to the one whose packet it quotes", "[bpf][ipv6]") {
    REQUIRE(from_uplink(tcp6({"2001:db8:9::5", "2001:db8::1", 50000, 8080})) == TC_ACT_REDIRECT);
    constexpr std::uint8_t too_big = 2;
    // What the container answered, as it left the host; a router on its way could not send it on.
    const std::string quoted = tcp6({"2001:db8::1", "2001:db8:9::5", 8080, 50000, ack});
    const Outcome6 in = from_uplink_run(
        icmp6("2001:db8:5::5", "2001:db8::1", too_big, quoted.substr(ip_at, ip_bytes + 8)));
    CHECK(in.verdict == TC_ACT_REDIRECT);
    CHECK(in.source() == "2001:db8:5::5");
    CHECK(in.destination() == "fd88:1::2");
    CHECK(in.check() == 0);
    constexpr std::size_t quoted_at = transport_at + 8;
    CHECK(in.shown(quoted_at + 8) == "fd88:1::2");
    CHECK(in.shown(quoted_at + 24) == "2001:db8:9::5");
    CHECK(get16(in.packet, quoted_at + ip_bytes) == 80);
    CHECK(get16(in.packet, quoted_at + ip_bytes + 2) == 50000);
    // The container's port is closed: the client hears of it from the host.
    const std::string asked = tcp6({"2001:db8:9::5", "fd88:1::2", 50000, 80});
    constexpr std::uint8_t unreachable = 1;
    const Outcome6 out = from_container_run(
        icmp6("fd88:1::2", "2001:db8:9::5", unreachable, asked.substr(ip_at, ip_bytes + 8)));
    CHECK(out.verdict == TC_ACT_REDIRECT);
    CHECK(out.source() == "2001:db8::1");
    CHECK(out.check() == 0);
    CHECK(out.shown(quoted_at + 24) == "2001:db8::1");
    CHECK(get16(out.packet, quoted_at + ip_bytes + 2) == 8080);
    // One that quotes nothing of ours is the stack's.
    CHECK(from_uplink(icmp6("2001:db8:5::5",
                            "2001:db8::1",
                            too_big,
                            tcp6({"2001:db8::1", "2001:db8:9::5", 8099, 50000, ack})
                                .substr(ip_at, ip_bytes + 8))) == unspecified);
}

TEST_CASE("a port of IPv4 is not one of IPv6", "[bpf][ipv6]") {
    NetworkPrograms& programs = *Host::get().programs;
    port_map_key key{};
    key.addr = bpf_address(IpAddress::v4(0));
    key.port_be = htons(8090);
    key.protocol = IPPROTO_TCP;
    const port_map_value value{
        .addr = bpf_address(ip("10.88.1.2")), .port_be = htons(80), .pad = 0};
    REQUIRE(programs.port_set(key, value));
    CHECK(from_uplink(tcp6({"2001:db8:9::9", "2001:db8::1", 50009, 8090})) == unspecified);
    programs.port_delete(key);
}

TEST_CASE("an IPv6 packet whose hops end here is answered by the gateway", "[bpf][ipv6]") {
    std::string packet = tcp6({"fd88:1::2", "2001:db8::9"});
    packet[ip_at + 7] = 1;
    const Outcome6 told = from_container_run(packet);
    CHECK(told.verdict == TC_ACT_REDIRECT);
    REQUIRE(told.packet.size() == ip_at + 40 + 8 + 48);
    CHECK(told.source() == "fd88:1::1");
    CHECK(told.destination() == "fd88:1::2");
    CHECK(told.packet[transport_at] == 3);
    CHECK(told.packet.substr(transport_at + 8) == packet.substr(ip_at, 48));
    CHECK(told.check() == 0);
}
