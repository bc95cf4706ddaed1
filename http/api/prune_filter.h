#pragma once
/// PruneFilter: the filters that every POST /.../prune knows: until, label, label!.
/// Follows: Docker Engine API, operations ContainerPrune and ImagePrune.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "http/api/filters.h"
#include "reactor/base/clock.h"

namespace davit {

struct PruneFilter {
    /// Takes:  text: the query's `filters`; known: every key that is one here.
    /// Errors: invalid_argument for an unknown key, or a value that cannot be.
    static Result<PruneFilter> parse(std::string_view text,
                                     std::span<const std::string_view> known,
                                     WallTime now);

    /// Every label that was asked for is there, and none that was excluded.
    bool admits_labels(const std::map<std::string, std::string>& labels) const;

    Filters filters;
    /// Only what was made no later.
    std::optional<WallTime> until;
};

}  // namespace davit
