#pragma once
/// A host for the packet programs, and what packets are built and looked at with.
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

#include "bpf/programs.h"
#include "drivers/net/bridge_host.h"
#include "drivers/net/netns.h"
#include "libcontainer/cgroup.h"
#include "reactor/base/fd.h"
#include "tests/support/catch.h"

namespace davit {

inline constexpr std::uint32_t lo = 1;
inline constexpr int unspecified = TC_ACT_UNSPEC;
inline constexpr std::uint8_t syn = 2;
inline constexpr std::uint8_t ack = 16;

inline IpAddress ip(const char* text) {
    return *IpAddress::parse(text);
}

/// A host of the test's own, with its networks and containers, all behind lo's index.
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
        BridgeDriverOptions options{.owner = "test",
                                    .pin_directory = directory_,
                                    .cgroup_path = cgroup_,
                                    .loopback_note = ""};
        auto installed = host_install(options);
        INFO((installed ? "" : installed.error().message()));
        REQUIRE(installed);
        programs = std::move(installed->programs);
        network(1, "10.88.1.1", "fd88:1::1", DAVIT_NET_MASQUERADE);
        network(2, "10.88.2.1", "fd88:2::1", DAVIT_NET_MASQUERADE);
        network(3, "10.88.3.1", "fd88:3::1", DAVIT_NET_INTERNAL);
        network(4, "10.88.4.1", "fd88:4::1", DAVIT_NET_NO_ICC);
        for (const char* address : {"10.88.1.2", "10.88.1.3", "fd88:1::2", "fd88:1::3"}) {
            container(address, 1);
        }
        container("10.88.2.2", 2);
        container("fd88:2::2", 2);
        container("10.88.3.2", 3);
        container("fd88:3::2", 3);
        container("fd88:4::2", 4);
        container("fd88:4::3", 4);
        REQUIRE(programs->host_address_set(bpf_address(ip("198.51.100.1")), lo));
        REQUIRE(programs->host_address_set(bpf_address(ip("2001:db8::1")), lo));
        port_map_key key{};
        key.addr = bpf_address(IpAddress::v4(0));
        key.port_be = htons(8080);
        key.protocol = IPPROTO_TCP;
        const port_map_value value{
            .addr = bpf_address(ip("10.88.1.2")), .port_be = htons(80), .pad = 0};
        REQUIRE(programs->port_set(key, value));
        key.addr = bpf_address(IpAddress());
        const port_map_value value6{
            .addr = bpf_address(ip("fd88:1::2")), .port_be = htons(80), .pad = 0};
        REQUIRE(programs->port_set(key, value6));
    }

    void network(std::uint32_t number,
                 const char* gateway,
                 const char* gateway6,
                 std::uint32_t flags) {
        const net_value value{
            .gateway4 = bpf_address(ip(gateway)), .flags = flags, .bridge_ifindex = lo};
        REQUIRE(programs->net_set(number, value, bpf_address(ip(gateway6))));
        REQUIRE(programs->host_address_set(bpf_address(ip(gateway)), lo));
        REQUIRE(programs->host_address_set(bpf_address(ip(gateway6)), lo));
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

inline std::uint16_t sum16(const std::string& bytes, std::uint32_t sum = 0) {
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

inline void put16(std::string& out, std::size_t at, std::uint16_t value) {
    out[at] = static_cast<char>(value >> 8);
    out[at + 1] = static_cast<char>(value & 0xff);
}

inline std::uint16_t get16(const std::string& bytes, std::size_t at) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 |
                                      static_cast<unsigned char>(bytes[at + 1]));
}

/// What became of a packet.
struct Ran {
    int verdict = 0;
    std::string packet;
};

inline Ran run_program(int program, const std::string& packet) {
    Ran outcome;
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

inline std::uint64_t counted(const std::string& name) {
    for (const NetworkStat& stat : Host::get().programs->stats()) {
        if (stat.name == name) {
            return stat.packets;
        }
    }
    return 0;
}

}  // namespace davit
