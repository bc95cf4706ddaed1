#pragma once
/// The one thing besides `davit daemon` that the command line does without a daemon; main() knows
/// whether this build can.
#include <string>

#include "reactor/task.h"

namespace davit::cli {

using GraphOffline = Task<std::string> (*)(std::string data_root, std::string run_dir, bool repair);

/// Null in a build without the daemon.
inline GraphOffline graph_offline = nullptr;

}  // namespace davit::cli
