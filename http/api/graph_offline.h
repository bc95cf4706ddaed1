#pragma once
/// `davit graph check` without a daemon.
#include <string>

#include "reactor/task.h"

namespace davit {

struct GraphOfflineRequest {
    std::string data_root;
    std::string run_dir;
    bool repair = false;
};

/// Check a data root that no daemon uses. Gives: what GET /davit/graph/check answers.
/// Errors: conflict (a daemon uses it); not_found (no such directory, or never used).
Task<std::string> graph_check_offline(GraphOfflineRequest request);

}  // namespace davit
