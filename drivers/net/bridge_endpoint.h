#pragma once
/// A container's side of the bridge driver: veth pairs into a namespace, addresses, routes,
/// filters, held ports. Functions for a worker thread, values in and out.
#include <vector>

#include "bpf/programs.h"
#include "drivers/net/driver.h"
#include "drivers/net/netns.h"
#include "drivers/net/ports.h"

namespace davit {

struct EndpointTarget {
    EndpointSpec spec;
    int bridge_index = 0;
    unsigned mtu = 0;
};

struct EndpointMade {
    /// The host's end.
    int index = 0;
    std::vector<PortHold> holds;
};

struct EndpointsMade {
    Fd netns = {};
    std::uint64_t netns_cookie = 0;
    std::vector<EndpointMade> endpoints = {};
};

struct EndpointsJob {
    std::string owner;
    std::vector<EndpointTarget> targets;
    int host_netns = -1;
    int from_container_fd = -1;
    /// -1: a new namespace: `netns`, or one that is made.
    int pidfd = -1;
    Fd netns = {};
    /// The links are there; only what is the daemon's own is made again.
    bool adopt = false;
    PortHoldHooks hooks;
};

/// All of it, or nothing: a new namespace takes its links with it, from another one they are
/// deleted. Errors: as NetworkDriver::attach().
Result<EndpointsMade> endpoints_make(const EndpointsJob& job);

/// Take a link out of a namespace that lives on.
Result<void> endpoint_delete(int host_index);

}  // namespace davit
