#pragma once
/// What the prune commands share: their question, the call, and how its answer is shown.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "reactor/task.h"

namespace davit::cli {

/// A kind of objects that can be pruned.
struct PruneKind {
    std::string_view path;
    /// The answer's list: of names, or of {"Untagged": ...} and {"Deleted": ...}.
    std::string_view list;
    std::string_view heading;
};

inline constexpr PruneKind prune_containers{
    "/containers/prune", "ContainersDeleted", "Deleted Containers:"};
inline constexpr PruneKind prune_images{"/images/prune", "ImagesDeleted", "Deleted Images:"};
inline constexpr PruneKind prune_networks{
    "/networks/prune", "NetworksDeleted", "Deleted Networks:"};
inline constexpr PruneKind prune_volumes{"/volumes/prune", "VolumesDeleted", "Deleted Volumes:"};

/// Ask "WARNING! This will removeWHAT" and whether to go on.
/// Errors: cancelled unless the user says y, or Y: "ACTION has been cancelled".
Task<void> prune_confirm(Context& context, std::string what, std::string_view action);

/// Prune what fulfils all filters ("key=value"), and print what went.
/// Gives: the bytes that are free now. Errors: invalid_argument for a filter; the API's.
Task<std::uint64_t> prune_run(Context& context, PruneKind kind, std::vector<std::string> filters);

/// "Total reclaimed space: 1.2MB"
void prune_total_print(Context& context, std::uint64_t bytes);

}  // namespace davit::cli
