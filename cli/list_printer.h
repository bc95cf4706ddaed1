#pragma once
/// Lists: the same rows as a table, as JSON lines, or through a template.
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/context.h"

namespace davit::cli {

/// What --format may name, and the heading of its column.
struct ListField {
    std::string_view key;
    std::string_view heading;
};

struct ListRow {
    /// One per field, in the fields' order.
    std::vector<std::string> values;
    /// For {{.Label "key"}}.
    std::vector<std::pair<std::string, std::string>> labels = {};
};

/// Print rows.
///
/// Takes:  format: "" or "table" (default_table), "table TEMPLATE", "json", or a TEMPLATE.
/// Errors: invalid_argument for a template that is not understood, or names no field.
Result<void> list_print(Output& out,
                        std::string_view format,
                        std::string_view default_table,
                        std::span<const ListField> fields,
                        std::span<const ListRow> rows);

/// The filters of --filter as the API takes them: {"key":{"value":true}}; "" if there are none.
/// Errors: invalid_argument unless each is key=value.
Result<std::string> filters_json(std::span<const std::string> filters);

/// Print one object: "json" as one line, else through a template. Errors: as list_print().
Result<void> object_print(Output& out, std::string_view format, std::string_view json);

}  // namespace davit::cli
