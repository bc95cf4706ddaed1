#pragma once
/// Taking davit's networking off the host again: what the drivers made there, found by whose it is
/// and not by what somebody remembers. Functions for a worker thread; no daemon is needed.
#include <string>
#include <vector>

#include "drivers/net/bridge_host.h"

namespace davit {

struct NetworkUninstalled {
    /// Bridges, and what else carried networks.
    std::vector<std::string> links;
    /// Links of the host that had a filter of ours.
    std::vector<std::string> filtered;
    /// Socket hooks.
    std::vector<std::string> hooks;
    std::vector<std::string> maps;
};

/// Ids of the endpoints whose links are there: a namespace that somebody is in has them.
Result<std::vector<std::string>> network_endpoints_present(const std::string& owner);

/// Take away filters, links of networks, hooks, maps and the bpffs. What a call that was cut off
/// left, the next one takes. Errors: the first; what comes after it is left.
Result<NetworkUninstalled> network_uninstall(const BridgeDriverOptions& options);

}  // namespace davit
