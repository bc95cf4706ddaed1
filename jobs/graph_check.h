#pragma once
/// The graph compared with the disk, both ways: `davit graph check`.
///
/// Checked are the tables among themselves (graph/graph_check.h), layers that are recorded without
/// a directory and directories without a record, containers without their own directory and such
/// directories without a container, and chains that nobody needs. Without a daemon also leases and
/// layers that are being written, which then belong to nobody.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "graph/graph_check.h"
#include "graph/layer_store.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;
class ImageService;

/// A container as far as the disk knows it.
struct ContainerDirectory {
    std::string container;  ///< Its short id.
    std::string rw_name;
    /// It is being removed: its directory may be there or not.
    bool is_going = false;
};

/// What is checked; the references outlive the check.
struct GraphSubject {
    ImageService& images;
    /// As of now, each time it is called. Loop thread.
    std::function<std::vector<ContainerDirectory>()> containers;
    /// Chains that containers outside the graph hold; a snapshot, called on a worker.
    ChainPinned pinned;
    /// Pulls may be going on.
    bool is_live = true;
};

struct GraphReport {
    std::string driver;
    GraphCounts counts;
    std::uint64_t layer_directories = 0;
    std::uint64_t rw_directories = 0;
    /// What is wrong, in words; after a repair what is left of it.
    std::vector<std::string> findings;
    /// What was done about it.
    std::vector<std::string> repairs;
};

/// Check, and with repair put right what can be, then check again. Layers without a directory are
/// forgotten with the images that need them; directories that nobody knows go to the trash.
Task<GraphReport> graph_check_run(GraphSubject subject, bool repair);

/// The same on what this daemon has.
Task<GraphReport> graph_check_job(Job& job, Daemon& daemon, bool repair);

}  // namespace davit
