#pragma once
/// `davit network uninstall`: without a daemon.
#include <string>

#include "reactor/task.h"

namespace davit {

struct NetworkUninstallRequest {
    std::string data_root;
    std::string run_dir;
};

/// Take away what the networks of the daemon with these directories left on the host: bridges,
/// filters, hooks, maps. What is recorded of networks stays: the next daemon makes what it needs.
/// Gives: JSON: names in "Links", "Filtered" (links of the host), "Hooks", "Maps".
/// Errors: conflict (a daemon or its keeper runs; containers use them); not_found (no daemon has
///         ever used the data root).
Task<std::string> network_uninstall_offline(NetworkUninstallRequest request);

}  // namespace davit
