#pragma once
/// What davit's own endpoints of the graph answer.
#include <string>

#include "jobs/graph_check.h"

namespace davit::api {

/// {"Driver", "Images", ..., "Findings": [...], "Repairs": [...]}
std::string graph_report_json(const GraphReport& report);

}  // namespace davit::api
