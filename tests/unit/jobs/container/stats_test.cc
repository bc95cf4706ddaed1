/// Goal: the host's and the network's counters are read whole, from texts of real hosts.
#include "jobs/container/stats.h"

#include <unistd.h>

#include "tests/support/catch.h"

namespace davit {

TEST_CASE("the host's processors and memory", "[container][stats]") {
    const HostStats host = host_stats_parse(
        "cpu  10 20 30 40 50 60 70 80 90 100\n"
        "cpu0 5 10 15 20 25 30 35 40 45 50\n"
        "cpu1 5 10 15 20 25 30 35 40 45 50\n"
        "intr 12345 0 0\n"
        "cpu9 is no processor behind this line\n",
        "MemTotal:       16384000 kB\nMemFree:         1 kB\n");
    CHECK(host.cpu_count == 2);
    CHECK(host.cpu == 280 * (1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))));
    CHECK(host.memory == 16'384'000ULL * 1024);
    const HostStats nothing = host_stats_parse("", "");
    CHECK(nothing.cpu == 0);
    CHECK(nothing.memory == 0);
    const HostStats real = host_stats_read();
    CHECK(real.cpu > 0);
    CHECK(real.cpu_count == static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
}

TEST_CASE("interfaces", "[container][stats]") {
    const auto interfaces = interface_stats_parse(
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
        "drop fifo colls carrier compressed\n"
        "    lo:    1234      12    0    0    0     0          0         0     1234      12    0   "
        " "
        "0    0     0       0          0\n"
        "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
        "cut off: 1 2 3\n");
    REQUIRE(interfaces.size() == 1);
    const InterfaceStats expected{.rx_bytes = 1,
                                  .rx_packets = 2,
                                  .rx_errors = 3,
                                  .rx_dropped = 4,
                                  .tx_bytes = 9,
                                  .tx_packets = 10,
                                  .tx_errors = 11,
                                  .tx_dropped = 12};
    CHECK(interfaces.at("eth0") == expected);
}

}  // namespace davit
