// Goal: each packet program decides and rewrites as NETWORK.md says, packet by packet.
// Method: the real kernel loads the programs in a network namespace, with a bpffs and a cgroup of
// the test's own; BPF_PROG_TEST_RUN hands them packets built layer by layer. What must hold is said
// at each case: the verdict, the addresses and ports that come out, and right checksums.
#include "bpf/programs.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include <bpf/bpf.h>

#include "drivers/net/bridge_host.h"
#include "drivers/net/netns.h"
#include "libcontainer/cgroup.h"
#include "reactor/base/fd.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

constexpr std::uint32_t lo = 1;
constexpr int unspecified = TC_ACT_UNSPEC;
constexpr std::uint8_t syn = 2;
constexpr std::uint8_t ack = 16;

IpAddress ip(const char* text) {
    return *IpAddress::parse(text);
}

/// A host of the test's own, with two networks and three containers, all behind lo's index.
class Host {
  public:
    static Host& get() {
        static Host host;
        return host;
    }

    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    ~Host() {
        programs.reset();
        ::umount2(directory_.c_str(), MNT_DETACH);
        ::rmdir(directory_.c_str());
        ::rmdir(cgroup_.c_str());
    }

    std::unique_ptr<NetworkPrograms> programs;

  private:
    Host() {
        REQUIRE(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
        REQUIRE(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
        char pattern[] = "/tmp/davit-bpf-test-XXXXXX";
        directory_ = ::mkdtemp(pattern);
        const auto layout = CgroupLayout::detect();
        REQUIRE(layout);
        REQUIRE(layout->unified() != nullptr);
        cgroup_ = layout->unified()->mount_point + "/davit-bpf-test-" + std::to_string(::getpid());
        BridgeDriverOptions options{
            .owner = "test", .pin_directory = directory_, .cgroup_path = cgroup_};
        auto installed = host_install(options);
        INFO((installed ? "" : installed.error().message()));
        REQUIRE(installed);
        programs = std::move(installed->programs);
        network(1, "10.88.1.1", DAVIT_NET_MASQUERADE);
        network(2, "10.88.2.1", DAVIT_NET_MASQUERADE);
        network(3, "10.88.3.1", DAVIT_NET_INTERNAL);
        container("10.88.1.2", 1);
        container("10.88.1.3", 1);
        container("10.88.2.2", 2);
        container("10.88.3.2", 3);
        REQUIRE(programs->host_address_set(bpf_address(ip("198.51.100.1")), lo));
        port_map_key key{};
        key.port_be = htons(8080);
        key.protocol = IPPROTO_TCP;
        const port_map_value value{
            .addr = bpf_address(ip("10.88.1.2")), .port_be = htons(80), .pad = 0};
        REQUIRE(programs->port_set(key, value));
    }

    void network(std::uint32_t number, const char* gateway, std::uint32_t flags) {
        const net_value value{
            .gateway4 = bpf_address(ip(gateway)), .flags = flags, .bridge_ifindex = lo};
        REQUIRE(programs->net_set(number, value));
        REQUIRE(programs->host_address_set(bpf_address(ip(gateway)), lo));
    }

    void container(const char* address, std::uint32_t number) {
        endpoint_value value{};
        value.ifindex = lo;
        value.net = number;
        value.generation = 5;
        const MacAddress mac = mac_of(ip(address));
        std::memcpy(value.mac, mac.data(), mac.size());
        REQUIRE(programs->endpoint_set(bpf_address(ip(address)), value));
    }

    std::string directory_;
    std::string cgroup_;
};

std::uint16_t sum16(const std::string& bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        const auto high = static_cast<unsigned char>(bytes[i]);
        const auto low = i + 1 < bytes.size() ? static_cast<unsigned char>(bytes[i + 1]) : 0U;
        sum += static_cast<std::uint32_t>(high << 8 | low);
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

void put16(std::string& out, std::size_t at, std::uint16_t value) {
    out[at] = static_cast<char>(value >> 8);
    out[at + 1] = static_cast<char>(value & 0xff);
}

std::uint16_t get16(const std::string& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

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

struct Outcome {
    int verdict = 0;
    std::string packet;

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
    Outcome outcome;
    outcome.packet.resize(packet.size() + 64);
    __sk_buff context{};
    context.ifindex = lo;
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<__u32>(packet.size());
    options.data_out = outcome.packet.data();
    options.data_size_out = static_cast<__u32>(outcome.packet.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    REQUIRE(bpf_prog_test_run_opts(program, &options) == 0);
    outcome.verdict = static_cast<int>(options.retval);
    outcome.packet.resize(options.data_size_out);
    return outcome;
}

Outcome from_container(const Segment& segment) {
    return run(Host::get().programs->from_container_fd(), tcp(segment));
}

Outcome from_uplink(const Segment& segment) {
    return run(Host::get().programs->from_uplink_fd(), tcp(segment));
}

std::uint64_t counted(const std::string& name) {
    for (const NetworkStat& stat : Host::get().programs->stats()) {
        if (stat.name == name) {
            return stat.packets;
        }
    }
    return 0;
}

}  // namespace

TEST_CASE("a source that is not the container's own is dropped and counted", "[bpf]") {
    const std::uint64_t before = counted("drop_spoofed");
    CHECK(from_container({"10.88.1.99", "10.88.1.3"}).verdict == TC_ACT_SHOT);
    CHECK(counted("drop_spoofed") == before + 1);
}

TEST_CASE("what is no IPv4 is the bridge's", "[bpf]") {
    std::string packet = tcp({"10.88.1.2", "10.88.1.3"});
    put16(packet, 12, 0x0806);
    CHECK(run(Host::get().programs->from_container_fd(), packet).verdict == unspecified);
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
