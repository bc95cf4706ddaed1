#pragma once
/// What a new network may be, in Docker's words where it says no.
#include <string>

#include "jobs/network/networks.h"

namespace davit {

/// Name, driver, options: what can be said without looking at other networks.
/// Errors: invalid_argument; permission_denied (predefined names); not_found (driver); unsupported.
Result<void> network_create_check(const NetworkCreateRequest& request);

/// That gateway, range and further addresses are inside the subnet. Errors: invalid_argument.
Result<void> network_addresses_check(const IpamConfig& config);

/// What a macvlan or ipvlan network hangs on is not in the way of another one's.
/// Errors: conflict "network X is already using parent interface eth0".
Result<void> network_parent_check(const NetworkRecord& record, const NetworkRecord& other);

/// The name of a network's bridge, where none was asked for: "dv-0123456789ab".
std::string network_interface_name(const NetworkId& id);

/// Of the link that an isolated macvlan or ipvlan network hangs on: "dm-0123456789ab".
std::string network_parent_name(const NetworkId& id);

}  // namespace davit
