#pragma once
/// What the programs of the bridge driver know of the host: its addresses, and the links that lead
/// out of it. Map updates of some microseconds each: fit for the loop.
#include <string>
#include <vector>

#include "drivers/net/bridge_host.h"

namespace davit {

/// Bring it up to date. Takes: gateways, which bridges have that may be younger than `host`.
void host_tell(NetworkPrograms& programs,
               const HostNetwork& host,
               const std::string& owner,
               const std::vector<IpAddress>& gateways);

}  // namespace davit
