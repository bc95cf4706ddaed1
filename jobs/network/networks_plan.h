#pragma once
/// What attaching and connecting share; for the files of Networks alone.
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/network/networks.h"

namespace davit {

/// A container's networks in the order of their interfaces, and what the driver is asked.
struct Networks::Plan {
    struct Item {
        std::shared_ptr<Network> network;
        EndpointSettings* settings;
    };

    std::vector<Item> items;
    /// The one that has the default route and the published ports.
    std::size_t gateway = SIZE_MAX;
    /// The one that has IPv6's default route.
    std::size_t gateway6 = SIZE_MAX;
    EndpointsRequest request;
    /// Of macvlan and ipvlan networks.
    std::vector<EndpointSpec> hanging;
};

/// "container:X": it has no network of its own.
bool shares(const std::string& mode);

/// A container's names in its own /etc/hosts.
std::string host_names(const ContainerConfig& config);

/// What the driver is told of a member. Errors: invalid_argument (its MAC address is none).
Result<EndpointSpec> endpoint_spec(const Network& network,
                                   const ContainerId& container,
                                   const std::string& interface);

}  // namespace davit
