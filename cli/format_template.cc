#include "cli/format_template.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/format_template_node.h"
#include "cli/units.h"
#include "http/message.h"

namespace davit::cli {

namespace {

using Node = FormatTemplate::Node;
using Nodes = FormatTemplate::Nodes;

/// Present members only: a key whose value is null is there, but absent as a value.
struct Member {
    bool found = false;
    JsonValue value;
};

Member member_find(const JsonValue& object, std::string_view key) {
    Member loose;
    if (const auto members = object.as_object()) {
        for (const auto& [name, value] : *members) {
            if (name == key) {
                return {true, value};
            }
            if (!loose.found && equals_ignoring_case(name, key)) {
                loose = {true, value};
            }
        }
    }
    return loose;
}

std::string value_text(const JsonValue& value);

std::string list_text(const std::vector<JsonValue>& items) {
    std::string text = "[";
    for (const JsonValue& item : items) {
        text += (text.size() > 1 ? " " : "") + value_text(item);
    }
    return text + "]";
}

/// As Go prints a value with %v.
std::string value_text(const JsonValue& value) {
    switch (value.type()) {
        case JsonValue::Type::absent:
            return "<no value>";
        case JsonValue::Type::string:
            return std::string(*value.as_string());
        case JsonValue::Type::array:
            return list_text(*value.as_array());
        case JsonValue::Type::object: {
            auto members = *value.as_object();
            std::ranges::sort(members, {}, [](const auto& member) { return member.first; });
            std::string text = "map[";
            for (const auto& [name, member] : members) {
                text +=
                    fmt::format("{}{}:{}", text.size() > 4 ? " " : "", name, value_text(member));
            }
            return text + "]";
        }
        case JsonValue::Type::int64:
        case JsonValue::Type::uint64:
        case JsonValue::Type::real:
        case JsonValue::Type::boolean:
            return value.to_json();
    }
    return "";
}

bool is_true(const JsonValue& value) {
    switch (value.type()) {
        case JsonValue::Type::absent:
            return false;
        case JsonValue::Type::string:
            return !value.as_string()->empty();
        case JsonValue::Type::array:
            return !value.as_array()->empty();
        case JsonValue::Type::object:
            return !value.as_object()->empty();
        case JsonValue::Type::boolean:
            return *value.as_bool();
        case JsonValue::Type::int64:
        case JsonValue::Type::uint64:
        case JsonValue::Type::real:
            return *value.as_double() != 0;
    }
    return false;
}

/// Walk a path. missing_is_absent: a field that is not there gives an absent value.
Result<JsonValue> path_walk(const std::vector<std::string>& path,
                            JsonValue value,
                            bool missing_is_absent) {
    for (const std::string& field : path) {
        const Member member = member_find(value, field);
        if (!member.found && !missing_is_absent) {
            return template_error(fmt::format("no field \"{}\"", field));
        }
        value = member.value;
    }
    return value;
}

Result<JsonValue> index_walk(JsonValue value, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
        if (value.is(JsonValue::Type::array)) {
            const auto items = value.as_array();
            const Result<std::int64_t> place = integer_parse(key);
            if (!place || *place < 0 || static_cast<std::size_t>(*place) >= items->size()) {
                return template_error(fmt::format("index out of range: {}", key));
            }
            value = (*items)[static_cast<std::size_t>(*place)];
        } else {
            value = member_find(value, key).value;
        }
    }
    return value;
}

std::string to_case(std::string text, bool upper) {
    for (char& c : text) {
        if (upper && c >= 'a' && c <= 'z') {
            c = static_cast<char>(c - 'a' + 'A');
        } else if (!upper && c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
    }
    return text;
}

Result<std::string> length_text(const JsonValue& value) {
    if (value.is(JsonValue::Type::string)) {
        return std::to_string(value.as_string()->size());
    }
    if (value.is(JsonValue::Type::object)) {
        return std::to_string(value.as_object()->size());
    }
    TRY(const std::vector<JsonValue> items, value.as_array());
    return std::to_string(items.size());
}

Result<std::string> value_run(const Node& node, const JsonValue& object) {
    TRY(const JsonValue value, path_walk(node.path, object, false));
    if (node.text == "json") {
        return value.to_json();
    }
    if (node.text == "index") {
        TRY(const JsonValue item, index_walk(value, node.arguments));
        return item.present() ? value_text(item) : std::string();
    }
    if (node.text == "label") {
        const JsonValue label = member_find(value, node.arguments[0]).value;
        return label.present() ? value_text(label) : std::string();
    }
    if (node.text == "join") {
        TRY(const std::vector<JsonValue> items, value.as_array());
        std::string text;
        for (const JsonValue& item : items) {
            text += (&item == items.data() ? "" : node.arguments[0]) + value_text(item);
        }
        return text;
    }
    if (node.text == "len") {
        return length_text(value);
    }
    if (node.text == "upper" || node.text == "lower") {
        return to_case(value_text(value), node.text == "upper");
    }
    return value_text(value) + (node.text == "println" ? "\n" : "");
}

Result<std::string> nodes_run(const Nodes& nodes, const JsonValue& object);

/// The items of an array, or the values of an object by the order of their keys.
Result<std::vector<JsonValue>> range_items(const JsonValue& value) {
    if (!value.is(JsonValue::Type::object)) {
        return value.as_array();
    }
    TRY(auto members, value.as_object());
    std::ranges::sort(members, {}, [](const auto& member) { return member.first; });
    std::vector<JsonValue> items;
    for (const auto& member : members) {
        items.push_back(member.second);
    }
    return items;
}

Result<std::string> block_run(const Node& node, const JsonValue& object) {
    TRY(JsonValue value, path_walk(node.path, object, true));
    if (node.text == "index" || node.text == "label") {
        TRY(value, index_walk(value, node.arguments));
    }
    if (!is_true(value)) {
        return nodes_run(node.otherwise, object);
    }
    if (node.kind != Node::Kind::range) {
        return nodes_run(node.body, node.kind == Node::Kind::with ? value : object);
    }
    TRY(const std::vector<JsonValue> items, range_items(value));
    std::string text;
    for (const JsonValue& item : items) {
        TRY(const std::string part, nodes_run(node.body, item));
        text += part;
    }
    return text;
}

Result<std::string> nodes_run(const Nodes& nodes, const JsonValue& object) {
    std::string text;
    for (const Node& node : nodes) {
        if (node.kind == Node::Kind::text) {
            text += node.text;
        } else {
            TRY(const std::string part,
                node.kind == Node::Kind::value ? value_run(node, object) : block_run(node, object));
            text += part;
        }
    }
    return text;
}

}  // namespace

FormatTemplate::FormatTemplate(std::unique_ptr<Nodes> nodes) : nodes_(std::move(nodes)) {}

FormatTemplate::FormatTemplate(FormatTemplate&&) noexcept = default;
FormatTemplate& FormatTemplate::operator=(FormatTemplate&&) noexcept = default;
FormatTemplate::~FormatTemplate() = default;

Result<std::string> FormatTemplate::run(const JsonValue& object) const {
    return nodes_run(*nodes_, object);
}

}  // namespace davit::cli
