#pragma once
/// What the programs of the bridge driver know of the host: its addresses, and the links that lead
/// out of it. For a worker thread: some microseconds for each address.
#include <string>
#include <vector>

#include "drivers/net/bridge_host.h"

namespace davit {

/// Tell them what there is. Gives: the addresses that they know and `host` has not, which are to
/// be taken from them, unless they belong to bridges that are younger than `host`.
std::vector<davit_address> host_tell(NetworkPrograms& programs,
                                     const HostNetwork& host,
                                     const std::string& owner);

/// What the programs counted, as a driver tells it.
std::vector<NetworkCounter> counters_of(std::vector<NetworkStat> stats);

}  // namespace davit
