#pragma once
/// A container as the API shows it: inspect and list items.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "http/api/api_version.h"
#include "http/json_writer.h"
#include "jobs/container/record.h"
#include "jobs/container/tree_size.h"

namespace davit {

/// What a record does not hold.
struct ContainerView {
    const ContainerRecord& record;
    /// As the list shows it: the name it was made from, or the id if that name is another image's
    /// now.
    std::string image_name;
    WallTime now;
    /// GraphDriver.Data of inspect: "LowerDir", "UpperDir", "WorkDir", "MergedDir".
    std::map<std::string, std::string> graph_data = {};
    std::optional<ContainerSize> size = {};
    /// Of its execs that have not ended.
    std::vector<std::string> exec_ids = {};
    /// HostConfig.Links of inspect: "/name:/container/alias".
    std::vector<std::string> links = {};
    /// What containers that are linked to it call it: "/container/alias".
    std::vector<std::string> link_names = {};
};

/// GET /containers/{id}/json. Beyond Docker's keys: "Davit", with the phases of the last start.
/// Follows: Docker Engine API, ContainerInspectResponse; the order of keys is Docker's, too.
void container_inspect_write(JsonWriter& json, const ContainerView& view, ApiVersion version);

/// One item of GET /containers/json. Follows: Docker Engine API, ContainerSummary.
void container_summary_write(JsonWriter& json, const ContainerView& view, ApiVersion version);

/// "Up 5 minutes", "Exited (0) 2 hours ago", "Created".
std::string container_status_text(const ContainerRecord& record, WallTime now);

}  // namespace davit
