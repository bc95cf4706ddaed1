#pragma once
/// One sample of what a container uses. Follows: Docker Engine API, operation ContainerStats.
#include <map>
#include <string>
#include <string_view>

#include "libcontainer/cgroup_stats.h"
#include "reactor/base/clock.h"

namespace davit {

struct InterfaceStats {
    std::uint64_t rx_bytes = 0;
    std::uint64_t rx_packets = 0;
    std::uint64_t rx_errors = 0;
    std::uint64_t rx_dropped = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t tx_errors = 0;
    std::uint64_t tx_dropped = 0;

    bool operator==(const InterfaceStats&) const = default;
};

/// What all containers are measured against; read once for all of them.
struct HostStats {
    std::uint64_t cpu = 0;  // Nanoseconds of all processors together, idle ones included.
    std::uint32_t cpu_count = 0;
    std::uint64_t memory = 0;  // Bytes.
};

struct ContainerStats {
    WallTime read{};
    CgroupStats cgroup;
    HostStats host;
    /// By name; without loopback.
    std::map<std::string, InterfaceStats> interfaces;
};

/// From the text of /proc/stat and /proc/meminfo; pure.
HostStats host_stats_parse(std::string_view stat, std::string_view meminfo);

/// Blocks: some ten microseconds per processor.
HostStats host_stats_read();

/// From the text of /proc/PID/net/dev; pure.
std::map<std::string, InterfaceStats> interface_stats_parse(std::string_view text);

}  // namespace davit
