#pragma once
/// Published ports in the programs' table. Some microseconds for each: more than ports_at_once_max
/// belong on a worker thread.
#include <set>
#include <string>
#include <vector>

#include "bpf/programs.h"
#include "drivers/net/ports.h"

namespace davit {

inline constexpr std::size_t ports_at_once_max = 64;

/// What the table has of one port.
struct PortEntry {
    port_map_key key{};
    port_map_value value{};
};

std::vector<PortEntry> port_entries(const EndpointSpec& endpoint,
                                    const std::vector<PortHold>& holds);

/// Errors: of the first that failed; those before it are in the table.
Result<void> ports_publish(NetworkPrograms& programs, const std::vector<PortEntry>& entries);

/// Out of the table, and no longer held.
void ports_unpublish(NetworkPrograms& programs, std::vector<PortHold> holds);

/// A key as bytes, for sets.
std::string port_key_bytes(const port_map_key& key);
std::string port_key_bytes(const PortSpec& port);

}  // namespace davit
