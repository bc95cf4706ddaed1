#include "drivers/net/bridge_ports.h"

#include <arpa/inet.h>

#include "drivers/net/bridge_host.h"

namespace davit {

namespace {

port_map_key key_of(const PortSpec& port) {
    port_map_key key{};
    key.addr = bpf_address(port.host);
    key.port_be = htons(port.host_first);
    key.protocol = port.protocol;
    return key;
}

}  // namespace

std::vector<PortEntry> port_entries(const EndpointSpec& endpoint,
                                    const std::vector<PortHold>& holds) {
    std::vector<PortEntry> entries;
    entries.reserve(holds.size());
    for (const PortHold& hold : holds) {
        PortEntry& entry = entries.emplace_back();
        entry.key = key_of(hold.port);
        entry.value.addr =
            bpf_address(hold.port.host.is_v4() ? endpoint.address : endpoint.address6);
        entry.value.port_be = htons(hold.port.container_port);
    }
    return entries;
}

Result<void> ports_publish(NetworkPrograms& programs, const std::vector<PortEntry>& entries) {
    for (const PortEntry& entry : entries) {
        TRY_VOID(programs.port_set(entry.key, entry.value));
    }
    return ok;
}

void ports_unpublish(NetworkPrograms& programs, std::vector<PortHold> holds) {
    for (const PortHold& hold : holds) {
        programs.port_delete(key_of(hold.port));
    }
    holds.clear();
}

std::string port_key_bytes(const port_map_key& key) {
    return {reinterpret_cast<const char*>(&key), sizeof(key)};
}

std::string port_key_bytes(const PortSpec& port) {
    return port_key_bytes(key_of(port));
}

}  // namespace davit
