#pragma once
/// What the command line, besides `davit daemon`, does without a daemon; main() knows whether this
/// build can.
#include <string>

#include "reactor/task.h"

namespace davit::cli {

using GraphOffline = Task<std::string> (*)(std::string data_root, std::string run_dir, bool repair);
using NetworkUninstall = Task<std::string> (*)(std::string data_root, std::string run_dir);

// Null in a build without the daemon.
inline GraphOffline graph_offline = nullptr;
inline NetworkUninstall network_uninstall = nullptr;

}  // namespace davit::cli
