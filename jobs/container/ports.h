#pragma once
/// Ports that a container publishes: from what a client wrote to numbers, and back.
#include <map>
#include <string>
#include <vector>

#include "drivers/net/driver.h"
#include "jobs/container/record.h"

namespace davit {

/// Where ports go that name no address of the host's, and where they may go.
struct PortHosts {
    /// 0.0.0.0: everywhere.
    IpAddress binding = IpAddress::v4(0);
    /// The container has an IPv6 address.
    bool ipv6 = false;
};

/// What PortBindings and PublishAllPorts ask for, in the order of the ports, each once; what goes
/// everywhere is one for IPv4, and one for IPv6 after it.
/// Errors: invalid_argument, in Docker's words; unsupported (sctp, IPv6 without such an address).
Result<std::vector<PortSpec>> ports_wanted(const HostConfig& host,
                                           const std::set<std::string>& exposed,
                                           const PortHosts& hosts);

/// As inspect shows what was got: "80/tcp" to address and port.
std::map<std::string, std::vector<PortBinding>> ports_published(const std::vector<PortSpec>& got);

/// The other way round: what a record says is published. Errors: corrupt.
Result<std::vector<PortSpec>> ports_of(
    const std::map<std::string, std::vector<PortBinding>>& published);

/// "80/tcp", "80". Errors: invalid_argument.
struct PortName {
    std::uint16_t number = 0;
    std::string protocol;
};

Result<PortName> port_name_parse(std::string_view text);

}  // namespace davit
