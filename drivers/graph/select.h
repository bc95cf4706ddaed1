#pragma once
/// Which graph driver a data root gets.
///
/// As Docker does it: the one that was asked for; else the one that the data root was used with
/// before; else overlay2, which works on btrfs, too; else btrfs; else vfs, with a warning, since it
/// works everywhere and does nothing well. Each driver keeps its layers in a directory of its own,
/// and what is recorded of them lies in a place of its own (graph_driver_state_root()): a data root
/// that is opened with another driver shows other images and containers, and loses nothing.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/graph/driver.h"

namespace davit {

/// The name as GraphDriver::name() has it: "overlay" is "overlay2".
/// Errors: unsupported, saying which one to use instead.
Result<std::string> graph_driver_name(std::string_view wanted);

struct GraphDriverChoice {
    std::unique_ptr<GraphDriver> driver;
    /// What the user should know about it.
    std::vector<std::string> warnings;
};

/// Takes: wanted, a name of graph_driver_name(), or "" for the data root's own.
/// Errors: conflict (used with several drivers before); unsupported (this one cannot work there).
Result<GraphDriverChoice> graph_driver_open(const std::string& wanted,
                                            const std::string& data_root);

/// Below it are the graph and the containers that belong to a driver's layers: the data root itself
/// for overlay2, the driver's directory for others.
std::string graph_driver_state_root(const GraphDriver& driver, const std::string& data_root);

}  // namespace davit
