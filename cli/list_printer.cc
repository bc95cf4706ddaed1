#include "cli/list_printer.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cli/format_template.h"
#include "cli/table_writer.h"
#include "http/json_writer.h"

namespace davit::cli {

namespace {

/// The row as the object that templates see; with_labels adds what {{.Label}} looks into.
std::string row_json(std::span<const ListField> fields, const ListRow& row, bool with_labels) {
    std::vector<std::size_t> order(fields.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::ranges::sort(order, {}, [fields](std::size_t i) { return fields[i].key; });
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    for (const std::size_t i : order) {
        json.key(fields[i].key).string(row.values[i]);
    }
    if (with_labels) {
        json.key(FormatTemplate::label_map_key).string_map(row.labels);
    }
    json.end_object();
    return text;
}

Result<std::string> render(const FormatTemplate& format, const std::string& json) {
    TRY(const JsonDocument document, JsonDocument::parse(json));
    return format.run(document.root());
}

ListRow heading_row(std::span<const ListField> fields) {
    ListRow row;
    for (const ListField& field : fields) {
        row.values.emplace_back(field.heading);
    }
    return row;
}

Result<void> table_print(Output& out,
                         std::string_view text,
                         std::span<const ListField> fields,
                         std::span<const ListRow> rows) {
    TRY(const FormatTemplate format, FormatTemplate::parse(text));
    TableWriter table;
    TRY(const std::string heading, render(format, row_json(fields, heading_row(fields), true)));
    table.row_of_tabs(heading);
    for (const ListRow& row : rows) {
        TRY(const std::string line, render(format, row_json(fields, row, true)));
        table.row_of_tabs(line);
    }
    out.write(table.text());
    return ok;
}

}  // namespace

Result<void> list_print(Output& out,
                        std::string_view format,
                        std::string_view default_table,
                        std::span<const ListField> fields,
                        std::span<const ListRow> rows) {
    constexpr std::string_view table = "table";
    if (format.empty() || format == table) {
        return table_print(out, default_table, fields, rows);
    }
    if (format.starts_with(table) &&
        (format[table.size()] == ' ' || format[table.size()] == '\t')) {
        return table_print(out, format.substr(table.size() + 1), fields, rows);
    }
    if (format == "json") {
        for (const ListRow& row : rows) {
            out.line(row_json(fields, row, false));
        }
        return ok;
    }
    TRY(const FormatTemplate parsed, FormatTemplate::parse(format));
    for (const ListRow& row : rows) {
        TRY(const std::string line, render(parsed, row_json(fields, row, true)));
        out.line(line);
    }
    return ok;
}

Result<std::string> filters_json(std::span<const std::string> filters) {
    std::map<std::string, std::vector<std::string>> values;
    for (const std::string& filter : filters) {
        const std::size_t equals = filter.find('=');
        if (equals == std::string::npos) {
            return Error(ErrorKind::invalid_argument,
                         fmt::format("invalid argument \"{}\" for \"-f, --filter\" flag: invalid "
                                     "filter '{}'",
                                     filter,
                                     filter));
        }
        values[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
    }
    std::string text;
    if (values.empty()) {
        return text;
    }
    JsonWriter json(text);
    json.begin_object();
    for (const auto& [key, wanted] : values) {
        json.key(key).begin_object();
        for (const std::string& value : wanted) {
            json.key(value).boolean(true);
        }
        json.end_object();
    }
    json.end_object();
    return text;
}

Result<void> object_print(Output& out, std::string_view format, std::string_view json) {
    if (format == "json") {
        while (json.ends_with('\n')) {
            json.remove_suffix(1);
        }
        out.line(json);
        return ok;
    }
    TRY(const FormatTemplate parsed, FormatTemplate::parse(format));
    TRY(const std::string text, render(parsed, std::string(json)));
    out.line(text);
    return ok;
}

}  // namespace davit::cli
