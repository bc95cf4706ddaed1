#pragma once
/// Published ports are held by bound sockets: visible to everybody, in conflict both ways, and out
/// of the range of ephemeral ports. They do not listen: a path that davit does not cover is
/// refused.
#include <cstdint>
#include <functional>
#include <vector>

#include "drivers/net/driver.h"

namespace davit {

struct PortHold {
    PortSpec port;  // host_first is the number.
    Fd socket;
};

/// What is called with a socket's SO_COOKIE before, and after, it is bound; may be empty.
struct PortHoldHooks {
    std::function<void(std::uint64_t cookie)> before;
    std::function<void(std::uint64_t cookie)> after;
};

/// Bind a port, the first free one of its range.
/// Errors: internal "Bind for 0.0.0.0:8080 failed: port is already allocated"; any of bind(2).
/// Blocks: some microseconds for each port that is tried.
Result<PortHold> port_hold(const PortSpec& port, const PortHoldHooks& hooks = {});

/// port_hold() of each; those that follow one another and differ in nothing but the host's address
/// (every IPv4 one, every IPv6 one) get one number.
Result<std::vector<PortHold>> ports_hold(const std::vector<PortSpec>& ports,
                                         const PortHoldHooks& hooks = {});

}  // namespace davit
