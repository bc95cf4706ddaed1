#pragma once
/// Collecting images that nobody has used for long, when the disk fills: `davit gc`.
///
/// Above the high mark images go, least recently used first, until the disk would be below the low
/// mark. Never one that a container uses, that is being pulled, whose layers a lease holds, that
/// others were built on, or that is pinned. What an image frees is what only it needs: an image
/// whose layers are all shared frees nothing, and stays as long as that is so.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "graph/image_remove.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

struct GcCandidate {
    Digest id;
    /// A name for people.
    std::string name;
    WallTime used{};
    Digest parent;
    std::vector<std::pair<std::string, std::uint64_t>> layers;  ///< Cache id and bytes.
    /// Why it must stay; empty if nothing speaks against removing it.
    std::string kept_because;
};

struct GcInput {
    std::vector<GcCandidate> images;
    /// Cache ids that are needed whatever becomes of the images.
    std::set<std::string> held_layers;
    std::uint64_t bytes_wanted = 0;
};

struct GcStep {
    Digest id;
    std::string name;
    WallTime used{};
    /// What it frees; for one that stays 0.
    std::uint64_t bytes = 0;
    /// Why it stays.
    std::string reason;
};

struct GcPlan {
    std::vector<GcStep> remove;
    std::vector<GcStep> keep;
};

/// Decide which images go. Pure: for tests, and for --dry-run.
GcPlan gc_plan(GcInput input);

struct GcRequest {
    /// Percent of the disk that may be in use, as df(1) counts.
    int high_percent = 85;
    int low_percent = 70;
    bool dry_run = false;
};

struct GcReport {
    double used_percent = 0;
    std::uint64_t bytes_wanted = 0;
    std::uint64_t bytes_freed = 0;  ///< Deleted in the background.
    GcPlan plan;
    /// What was really done.
    std::vector<ImageRemoved::Entry> removed;
};

/// How much of the disk that path is on is in use, as df(1) counts. Errors: statvfs(3)'s.
Result<double> disk_used_percent(const std::string& path);

/// Publishes an event for each name and image that goes.
/// Errors: invalid_argument (marks).
/// Cancel: between two images.
Task<GcReport> image_gc(Job& job, Daemon& daemon, GcRequest request);

}  // namespace davit
