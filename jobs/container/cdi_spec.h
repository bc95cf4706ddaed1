#pragma once
/// A spec of the container device interface: what a vendor says a container needs for its devices.
///
/// The files are the administrator's; they are read as if they were not.
/// Follows: CDI SPEC.md (cncf-tags/container-device-interface) up to 1.1.0, and the checks of its
/// library's specs-go and pkg/cdi.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct CdiDeviceNode {
    std::string path;         // Absolute, in the container.
    std::string host_path;    // Absolute; "": path.
    std::string type;         // "b", "c", "u", "p"; "": as it is on the host.
    std::string permissions;  // Of "rwm"; "": all of them.
    std::optional<std::uint32_t> major;
    std::optional<std::uint32_t> minor;
    std::optional<std::uint32_t> file_mode;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
};

struct CdiMount {
    std::string host_path;       // Absolute.
    std::string container_path;  // Absolute.
    std::string type;
    std::vector<std::string> options;
};

struct CdiEdits {
    std::vector<std::string> env;  // "NAME=value".
    std::vector<CdiDeviceNode> device_nodes;
    std::vector<CdiMount> mounts;
    std::vector<std::uint32_t> additional_gids;
    /// What davit cannot do, in words: "a createContainer hook (/usr/bin/x)".
    std::vector<std::string> unsupported;

    void append(const CdiEdits& more);
    bool empty() const;
};

struct CdiDevice {
    std::string name;
    CdiEdits edits;
};

struct CdiSpec {
    std::string kind;  // "vendor.com/class".
    CdiEdits edits;    // For whichever of its devices, once.
    std::vector<CdiDevice> devices;
};

/// Read a spec in JSON. Members that the specification does not have are refused, as by its
/// library. Errors: invalid_argument, with the place.
Result<CdiSpec> cdi_spec_parse(std::string_view text);

}  // namespace davit
