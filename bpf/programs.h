#pragma once
/// NetworkPrograms: davit's BPF programs and maps, loaded and pinned, as functions of the daemon's.
///
/// Everything is pinned below one folder of a bpffs, so that traffic goes on while no daemon runs
/// and the next one finds what is published; unmounting that bpffs gives everything up. The packet
/// programs are attached to links by the bridge driver (netlink); the socket hooks are attached
/// here, to one cgroup, as pinned links.
///
/// Follows: bpf(2); libbpf. Types: bpf/shared/types.h.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/shared/types.h"
#include "reactor/base/result.h"

namespace davit {

/// Below the pin directory, the folder of the maps whose types these programs have: "v2".
std::string network_layout();

struct NetworkProgramsOptions {
    /// A folder in a mounted bpffs; made if it is not there.
    std::string pin_directory;
    /// An open directory of the v2 hierarchy: sockets of processes below it are seen.
    int cgroup_fd = -1;
    /// SO_NETNS_COOKIE of the host's network namespace.
    std::uint64_t host_cookie = 0;
};

struct NetworkStat {
    /// "published", "drop_spoofed": what begins with "drop_" was dropped.
    std::string name;
    /// For people.
    std::string meaning;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

/// What became of a packet: TC_ACT_*, and its bytes.
struct PacketRun {
    int verdict = 0;
    std::string frame;
};

class NetworkPrograms {
  public:
    /// Load, reusing pinned maps; new programs take the places of an earlier daemon's without a
    /// moment between. Errors: unsupported, with what the kernel said (no BPF, no CAP_BPF, a
    /// program that its verifier refuses).
    /// Blocks: 40 ms to 200 ms.
    static Result<std::unique_ptr<NetworkPrograms>> open(const NetworkProgramsOptions& options);

    ~NetworkPrograms();
    NetworkPrograms(const NetworkPrograms&) = delete;
    NetworkPrograms& operator=(const NetworkPrograms&) = delete;

    int from_container_fd() const;
    int from_uplink_fd() const;
    int from_uplink_l3_fd() const;
    int from_lo_fd() const;

    /// Run one of these on a frame as if it had come in by a link of this network namespace.
    /// Nothing is sent; maps change as by any packet. Follows: bpf(2), BPF_PROG_TEST_RUN.
    Result<PacketRun> packet_run(int program_fd,
                                 std::uint32_t ifindex,
                                 const std::string& frame) const;

    std::optional<flow_value> flow_get(const flow_key& key) const;
    void flow_delete(const flow_key& key);

    /// As the programs look it up: of this address, else of all of its family.
    std::optional<port_map_value> port_get(const davit_address& address,
                                           std::uint16_t port_be,
                                           std::uint8_t protocol) const;

    // Single updates take a few microseconds. Deleting what is not there is fine.
    Result<void> port_set(const port_map_key& key, const port_map_value& value);
    void port_delete(const port_map_key& key);
    std::vector<port_map_key> ports() const;

    Result<void> endpoint_set(const davit_address& address, const endpoint_value& value);
    std::optional<endpoint_value> endpoint_get(const davit_address& address) const;
    void endpoint_delete(const davit_address& address);
    std::vector<davit_address> endpoints() const;

    /// gateway6: all zero for a network without IPv6.
    Result<void> net_set(std::uint32_t number,
                         const net_value& value,
                         const davit_address& gateway6);

    Result<void> host_address_set(const davit_address& address, std::uint32_t ifindex);
    void host_address_delete(const davit_address& address);
    std::vector<davit_address> host_addresses() const;

    // With an IPv4 address, and (6) with an IPv6 one.
    Result<void> uplink_set(std::uint32_t ifindex, const uplink_value& value);
    void uplink_delete(std::uint32_t ifindex);
    std::vector<std::uint32_t> uplinks() const;
    Result<void> uplink6_set(std::uint32_t ifindex, const uplink_value& value);
    void uplink6_delete(std::uint32_t ifindex);
    std::vector<std::uint32_t> uplinks6() const;

    Result<void> netns_set(std::uint64_t cookie, const netns_value& value);
    void netns_delete(std::uint64_t cookie);
    std::vector<std::uint64_t> namespaces() const;

    /// Let this socket be bound to a port that is published already; and no longer.
    Result<void> holder_allow(std::uint64_t cookie);
    void holder_forget(std::uint64_t cookie);

    std::vector<NetworkStat> stats() const;
    /// The same, where nothing is loaded: all are zero.
    static std::vector<NetworkStat> stats_none();

  private:
    struct Object;

    explicit NetworkPrograms(std::unique_ptr<Object> object);

    std::unique_ptr<Object> object_;
};

}  // namespace davit
