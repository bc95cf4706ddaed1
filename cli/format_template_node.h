#pragma once
/// The pieces of a parsed FormatTemplate, between its parser and what runs it.
#include <cstdint>
#include <string>
#include <vector>

#include "cli/format_template.h"

namespace davit::cli {

struct FormatTemplate::Node {
    enum class Kind : std::uint8_t { text, value, range, condition, with };

    Kind kind = Kind::text;
    /// text: itself. Others: the function's name, "" for a plain path.
    std::string text;
    /// The fields of the path, outermost first; none for ".".
    std::vector<std::string> path;
    /// What follows the path: "key", 0.
    std::vector<std::string> arguments;
    Nodes body;
    Nodes otherwise;
};

/// "template parsing error: ..."
Error template_error(std::string message);

}  // namespace davit::cli
