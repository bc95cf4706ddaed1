#pragma once
/// What the host is and can: for GET /info and /version. Read once; the host does not change under
/// us.
#include <cstdint>
#include <string>
#include <string_view>

namespace davit {

struct SystemInfo {
    std::string kernel_version;    // uname -r
    std::string operating_system;  // PRETTY_NAME of /etc/os-release
    std::string os_version;        // VERSION_ID of /etc/os-release
    std::string architecture;      // uname -m: "x86_64"
    std::string go_architecture;   // "amd64": as images and Version.Arch spell it
    std::string host_name;
    std::uint64_t memory_bytes = 0;
    int cpu_count = 0;
};

SystemInfo system_info_read();

/// GOARCH's spelling of this machine: "amd64", "arm64".
std::string_view go_architecture();

}  // namespace davit
