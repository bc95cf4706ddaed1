// Goal: each packet program decides and rewrites as NETWORK.md says, packet by packet.
// Method: the real kernel loads the programs in a network namespace, with a bpffs and a cgroup of
// the test's own; BPF_PROG_TEST_RUN hands them packets built layer by layer. What must hold is said
// at each case: the verdict, the addresses and ports that come out, and right checksums.
#include "tests/integration/net/programs_support.h"

using namespace davit;

namespace {

std::string bytes_of(const IpAddress& address) {
    return {address.bytes().begin() + 12, address.bytes().end()};
}

constexpr std::size_t ip_at = 14;
constexpr std::size_t tcp_at = 34;
constexpr std::size_t packet_bytes = 54;

/// Of the TCP segment with its pseudo header: 0 if the checksum is right.
std::uint16_t tcp_check(const std::string& packet) {
    std::string pseudo = packet.substr(ip_at + 12, 8);
    pseudo += std::string("\0\x06\0\x14", 4);
    return sum16(pseudo + packet.substr(tcp_at, 20));
}

struct Segment {
    const char* from;
    const char* to;
    std::uint16_t sport = 40000;
    std::uint16_t dport = 80;
    std::uint8_t flags = syn;
};

std::string tcp(const Segment& segment) {
    std::string out(packet_bytes, '\0');
    const MacAddress mac = mac_of(ip(segment.to));
    std::memcpy(out.data(), mac.data(), mac.size());
    put16(out, 12, 0x0800);
    out[ip_at] = 0x45;
    put16(out, ip_at + 2, 40);
    out[ip_at + 8] = 64;
    out[ip_at + 9] = IPPROTO_TCP;
    out.replace(ip_at + 12, 4, bytes_of(ip(segment.from)));
    out.replace(ip_at + 16, 4, bytes_of(ip(segment.to)));
    put16(out, ip_at + 10, sum16(out.substr(ip_at, 20)));
    put16(out, tcp_at, segment.sport);
    put16(out, tcp_at + 2, segment.dport);
    out[tcp_at + 12] = 0x50;
    out[tcp_at + 13] = static_cast<char>(segment.flags);
    put16(out, tcp_at + 16, tcp_check(out));
    return out;
}

struct Outcome : Ran {
    std::string source() const { return shown(ip_at + 12); }

    std::string destination() const { return shown(ip_at + 16); }

    std::uint16_t sport() const { return get16(packet, tcp_at); }

    std::uint16_t dport() const { return get16(packet, tcp_at + 2); }

    void check_sums() const {
        CHECK(sum16(packet.substr(ip_at, 20)) == 0);
        CHECK(tcp_check(packet) == 0);
    }

  private:
    std::string shown(std::size_t at) const {
        std::uint32_t value = 0;
        std::memcpy(&value, packet.data() + at, sizeof(value));
        return IpAddress::v4(ntohl(value)).str();
    }
};

Outcome run(int program, const std::string& packet) {
    return {run_program(program, packet)};
}

Outcome from_container(const Segment& segment) {
    return run(Host::get().programs->from_container_fd(), tcp(segment));
}

Outcome from_uplink(const Segment& segment) {
    return run(Host::get().programs->from_uplink_fd(), tcp(segment));
}

}  // namespace

TEST_CASE("a source that is not the container's own is dropped and counted", "[bpf]") {
    const std::uint64_t before = counted("drop_spoofed");
    CHECK(from_container({"10.88.1.99", "10.88.1.3"}).verdict == TC_ACT_SHOT);
    CHECK(counted("drop_spoofed") == before + 1);
}

TEST_CASE("what is neither IP nor ARP is the bridge's", "[bpf]") {
    std::string packet = tcp({"10.88.1.2", "10.88.1.3"});
    put16(packet, 12, 0x88cc);
    CHECK(run(Host::get().programs->from_container_fd(), packet).verdict == unspecified);
}

TEST_CASE("ARP: a container tells of its own address alone", "[bpf]") {
    const auto verdict = [](const char* sender, std::size_t bytes = 42) {
        std::string packet(42, '\0');
        put16(packet, 12, 0x0806);
        packet.replace(28, 4, bytes_of(ip(sender)));
        packet.replace(38, 4, bytes_of(ip("10.88.1.1")));
        packet.resize(bytes);
        return run(Host::get().programs->from_container_fd(), packet).verdict;
    };
    CHECK(verdict("10.88.1.2") == unspecified);
    CHECK(verdict("0.0.0.0") == unspecified);
    const std::uint64_t before = counted("drop_spoofed");
    CHECK(verdict("10.88.1.1") == TC_ACT_SHOT);   // Its gateway's.
    CHECK(verdict("10.88.1.99") == TC_ACT_SHOT);  // That of one that is gone, or on another link.
    CHECK(verdict("10.88.1.2", 30) == TC_ACT_SHOT);
    CHECK(counted("drop_spoofed") == before + 3);
}

TEST_CASE("containers of one network reach one another, untouched", "[bpf]") {
    const Outcome outcome = from_container({"10.88.1.2", "10.88.1.3"});
    CHECK(outcome.verdict == TC_ACT_REDIRECT);
    CHECK(outcome.packet == tcp({"10.88.1.2", "10.88.1.3"}));
}

TEST_CASE("containers of different networks do not", "[bpf]") {
    const std::uint64_t before = counted("drop_other_network");
    CHECK(from_container({"10.88.1.2", "10.88.2.2"}).verdict == TC_ACT_SHOT);
    CHECK(counted("drop_other_network") == before + 1);
}

TEST_CASE("an internal network has no way out, and none to published ports", "[bpf]") {
    CHECK(from_container({"10.88.3.2", "203.0.113.9"}).verdict == TC_ACT_SHOT);
    CHECK(from_container({"10.88.3.2", "198.51.100.1", 40001, 8080}).verdict == TC_ACT_SHOT);
    // Its own gateway answers names.
    CHECK(from_container({"10.88.3.2", "10.88.3.1", 40002, 53}).verdict == unspecified);
}

TEST_CASE("a published port from outside: the container's address, the client's own", "[bpf]") {
    const Outcome in = from_uplink({"203.0.113.9", "198.51.100.1", 50000, 8080});
    CHECK(in.verdict == TC_ACT_REDIRECT);
    CHECK(in.source() == "203.0.113.9");
    CHECK(in.destination() == "10.88.1.2");
    CHECK(in.sport() == 50000);
    CHECK(in.dport() == 80);
    CHECK(in.packet[ip_at + 8] == 63);
    in.check_sums();
    // The answer is the host's.
    const Outcome out = from_container(
        {"10.88.1.2", "203.0.113.9", 80, 50000, static_cast<std::uint8_t>(syn | ack)});
    CHECK(out.verdict == TC_ACT_REDIRECT);
    CHECK(out.source() == "198.51.100.1");
    CHECK(out.sport() == 8080);
    out.check_sums();
}

TEST_CASE("a segment that begins nothing is the stack's", "[bpf]") {
    CHECK(from_uplink({"203.0.113.9", "198.51.100.1", 50001, 8080, ack}).verdict == unspecified);
    CHECK(from_uplink({"203.0.113.9", "198.51.100.1", 50002, 8081}).verdict == unspecified);
}

TEST_CASE("a container's address is nobody's from outside", "[bpf]") {
    const std::uint64_t before = counted("drop_unpublished");
    CHECK(from_uplink({"203.0.113.9", "10.88.1.2"}).verdict == TC_ACT_SHOT);
    CHECK(counted("drop_unpublished") == before + 1);
}

TEST_CASE("hairpin: a container reaches a published port, seen as the gateway", "[bpf]") {
    for (const char* client : {"10.88.1.3", "10.88.2.2", "10.88.1.2"}) {
        const Outcome out = from_container({client, "198.51.100.1", 41000, 8080});
        CHECK(out.verdict == TC_ACT_REDIRECT);
        CHECK(out.source() == "10.88.1.1");
        CHECK(out.destination() == "10.88.1.2");
        CHECK(out.dport() == 80);
        CHECK(out.sport() >= 61000);
        out.check_sums();
        const Outcome back = from_container(
            {"10.88.1.2", "10.88.1.1", 80, out.sport(), static_cast<std::uint8_t>(syn | ack)});
        CHECK(back.verdict == TC_ACT_REDIRECT);
        CHECK(back.source() == "198.51.100.1");
        CHECK(back.sport() == 8080);
        CHECK(back.destination() == client);
        CHECK(back.dport() == 41000);
        back.check_sums();
    }
}

TEST_CASE("flows of an endpoint that is gone end with it", "[bpf]") {
    NetworkPrograms& programs = *Host::get().programs;
    const davit_address address = bpf_address(ip("10.88.1.2"));
    REQUIRE(from_uplink({"203.0.113.7", "198.51.100.1", 50005, 8080}).verdict == TC_ACT_REDIRECT);
    REQUIRE(from_uplink({"203.0.113.7", "198.51.100.1", 50005, 8080, ack}).verdict ==
            TC_ACT_REDIRECT);
    endpoint_value value = *programs.endpoint_get(address);
    ++value.generation;
    REQUIRE(programs.endpoint_set(address, value));
    CHECK(from_uplink({"203.0.113.7", "198.51.100.1", 50005, 8080, ack}).verdict == unspecified);
}

TEST_CASE("a packet whose hops end here is answered by the gateway", "[bpf]") {
    std::string packet = tcp({"10.88.1.2", "203.0.113.9"});
    packet[ip_at + 8] = 1;
    const std::uint64_t before = counted("answered");
    const Outcome told = run(Host::get().programs->from_container_fd(), packet);
    CHECK(told.verdict == TC_ACT_REDIRECT);
    CHECK(counted("answered") == before + 1);
    REQUIRE(told.packet.size() == ip_at + 20 + 8 + 28);
    CHECK(told.source() == "10.88.1.1");
    CHECK(told.destination() == "10.88.1.2");
    CHECK(told.packet[ip_at + 9] == IPPROTO_ICMP);
    CHECK(told.packet[tcp_at] == 11);
    CHECK(told.packet.substr(tcp_at + 8) == packet.substr(ip_at, 28));
    CHECK(sum16(told.packet.substr(ip_at, 20)) == 0);
    CHECK(sum16(told.packet.substr(tcp_at)) == 0);
    // A neighbour is no hop away.
    packet = tcp({"10.88.1.2", "10.88.1.3"});
    packet[ip_at + 8] = 1;
    CHECK(run(Host::get().programs->from_container_fd(), packet).packet == packet);
}
