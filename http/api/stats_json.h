#pragma once
/// What containers use, as clients get it. Follows: Docker Engine API, ContainerStats.
#include "http/json_writer.h"
#include "jobs/container/stats.h"

namespace davit {

/// One object with every key that Docker gives.
/// Takes:  name: with its slash; stats: null for a container that does not run; before: the sample
///         that the client got before, or null.
void container_stats_write(JsonWriter& json,
                           std::string_view id,
                           std::string_view name,
                           const ContainerStats* stats,
                           const ContainerStats* before);

}  // namespace davit
