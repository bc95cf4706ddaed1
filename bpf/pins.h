#pragma once
/// What a daemon's network left pinned in its bpffs: found, and given up, without loading anything.
///
/// Follows: bpf(2), BPF_OBJ_GET, BPF_LINK_DETACH.
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct NetworkPins {
    std::vector<std::string> maps;
    /// Programs that are attached to the cgroup, by name.
    std::vector<std::string> hooks;
};

/// Of every layout there was. Takes: NetworkProgramsOptions::pin_directory; missing is fine.
Result<NetworkPins> network_pins_read(const std::string& pin_directory);

/// Detach the hooks and unpin everything, but of one layout: other mounts of this bpffs keep
/// nothing alive either.
Result<void> network_pins_remove(const std::string& pin_directory,
                                 const std::string& kept_layout = "");

}  // namespace davit
