#include "cli/format_template.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "cli/units.h"
#include "http/message.h"

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

namespace {

using Node = FormatTemplate::Node;
using Nodes = FormatTemplate::Nodes;

Error invalid(std::string message) {
    return Error(ErrorKind::invalid_argument, "template parsing error: " + std::move(message));
}

constexpr std::string_view blanks = " \t\r\n";

std::string_view trim_left(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text;
}

std::string_view trim_right(std::string_view text) {
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

struct Word {
    std::string text;
    bool quoted = false;
};

/// Split an action at blanks; a quoted string ("a b" or `a b`) is one word.
Result<std::vector<Word>> words_split(std::string_view action) {
    std::vector<Word> words;
    for (action = trim_left(action); !action.empty(); action = trim_left(action)) {
        const char first = action.front();
        if (first != '"' && first != '`') {
            const std::size_t end = std::min(action.find_first_of(blanks), action.size());
            words.push_back({std::string(action.substr(0, end)), false});
            action.remove_prefix(end);
            continue;
        }
        Word word{"", true};
        std::size_t place = 1;
        while (place < action.size() && action[place] != first) {
            if (first == '"' && action[place] == '\\' && place + 1 < action.size()) {
                ++place;
                word.text += action[place] == 't'   ? '\t'
                             : action[place] == 'n' ? '\n'
                                                    : action[place];
            } else {
                word.text += action[place];
            }
            ++place;
        }
        if (place >= action.size()) {
            return invalid("unterminated quoted string");
        }
        words.push_back(std::move(word));
        action.remove_prefix(place + 1);
    }
    return words;
}

/// ".A.B" as its fields.
Result<std::vector<std::string>> path_split(std::string_view text) {
    const auto failed = [text] {
        return invalid(
            fmt::format("\"{}\" is not supported: use paths like .A.B, and json, index, join, len, "
                        "upper, lower, "
                        "range, if, with",
                        text));
    };
    if (!text.starts_with('.')) {
        return failed();
    }
    std::vector<std::string> path;
    for (text.remove_prefix(1); !text.empty();) {
        const std::size_t end = std::min(text.find('.'), text.size());
        const std::string_view name = text.substr(0, end);
        const bool plain = std::ranges::all_of(name, [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                   c == '_' || static_cast<unsigned char>(c) >= 0x80;
        });
        if (name.empty() || !plain) {
            return failed();
        }
        path.emplace_back(name);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return path;
}

struct Function {
    std::string_view name;
    std::size_t arguments_min;
    std::size_t arguments_max;
};

constexpr Function functions[] = {
    {"json", 0, 0},
    {"index", 1, 8},
    {"join", 1, 1},
    {"len", 0, 0},
    {"upper", 0, 0},
    {"lower", 0, 0},
    {"println", 0, 0},
};

/// One action without its braces: `json .A`, `.Label "x"`.
Result<Node> value_parse(std::string_view action) {
    TRY(std::vector<Word> words, words_split(action));
    Node node;
    node.kind = Node::Kind::value;
    std::size_t next = 0;
    if (words.empty()) {
        return invalid("missing value for command");
    }
    std::size_t arguments_min = 0;
    std::size_t arguments_max = 0;
    for (const Function& function : functions) {
        if (!words[0].quoted && words[0].text == function.name) {
            node.text = words[0].text;
            arguments_min = function.arguments_min;
            arguments_max = function.arguments_max;
            next = 1;
        }
    }
    if (next == words.size() || words[next].quoted) {
        return invalid(fmt::format("\"{}\" needs a path like .A.B", action));
    }
    TRY(node.path, path_split(words[next].text));
    if (node.text.empty() && !node.path.empty() && node.path.back() == "Label") {
        // The one method of docker's rows.
        node.text = "label";
        node.path.back() = FormatTemplate::label_map_key;
        arguments_min = arguments_max = 1;
    }
    for (++next; next < words.size(); ++next) {
        node.arguments.push_back(std::move(words[next].text));
    }
    if (node.arguments.size() < arguments_min || node.arguments.size() > arguments_max) {
        return invalid(fmt::format("\"{}\" is not supported", trim_right(action)));
    }
    return node;
}

class TemplateParser {
  public:
    explicit TemplateParser(std::string_view text) : rest_(text) {}

    Result<Nodes> parse() {
        TRY(Nodes nodes, parse_until_end(0));
        if (ended_by_ != "") {
            return invalid(fmt::format("unexpected {{{{{}}}}}", ended_by_));
        }
        return nodes;
    }

  private:
    static constexpr int depth_max = 16;

    /// Nodes up to {{end}}, {{else}} or the end of the text, named by ended_by_.
    Result<Nodes> parse_until_end(int depth) {
        if (depth > depth_max) {
            return invalid("nested too deeply");
        }
        Nodes nodes;
        ended_by_ = "";
        while (!rest_.empty()) {
            const std::size_t open = std::min(rest_.find("{{"), rest_.size());
            std::string_view text = rest_.substr(0, open);
            rest_.remove_prefix(open);
            if (trim_next_) {
                text = trim_left(text);
            }
            trim_next_ = false;
            if (rest_.starts_with("{{- ")) {
                text = trim_right(text);
            }
            if (!text.empty()) {
                nodes.emplace_back().text = text;
            }
            if (rest_.empty()) {
                break;
            }
            TRY(const std::string_view action, action_take());
            if (action == "end" || action == "else") {
                ended_by_ = action;
                return nodes;
            }
            TRY(Node node, action_parse(action, depth));
            nodes.push_back(std::move(node));
        }
        return nodes;
    }

    /// What stands between the next braces.
    Result<std::string_view> action_take() {
        const std::size_t close = rest_.find("}}");
        if (close == std::string_view::npos) {
            return invalid("unclosed action");
        }
        std::string_view action = rest_.substr(2, close - 2);
        rest_.remove_prefix(close + 2);
        if (action.starts_with("- ")) {
            action.remove_prefix(2);
        }
        if (action.ends_with(" -")) {
            action.remove_suffix(2);
            trim_next_ = true;
        }
        return trim_right(trim_left(action));
    }

    Result<Node> action_parse(std::string_view action, int depth) {
        const std::string_view keyword = action.substr(0, action.find_first_of(blanks));
        Node::Kind kind = Node::Kind::value;
        if (keyword == "range") {
            kind = Node::Kind::range;
        } else if (keyword == "if") {
            kind = Node::Kind::condition;
        } else if (keyword == "with") {
            kind = Node::Kind::with;
        }
        if (kind == Node::Kind::value) {
            return value_parse(action);
        }
        TRY(Node node, value_parse(action.substr(keyword.size())));
        node.kind = kind;
        TRY(node.body, parse_until_end(depth + 1));
        if (ended_by_ == "else") {
            TRY(node.otherwise, parse_until_end(depth + 1));
        }
        if (ended_by_ != "end") {
            return invalid(fmt::format("{{{{{}}}}} without {{{{end}}}}", action));
        }
        ended_by_ = "";
        return node;
    }

    std::string_view rest_;
    std::string_view ended_by_;
    bool trim_next_ = false;
};

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
            return invalid(fmt::format("no field \"{}\"", field));
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
                return invalid(fmt::format("index out of range: {}", key));
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

Result<FormatTemplate> FormatTemplate::parse(std::string_view text) {
    // Shells pass "\t" as two characters; docker reads them as the tab they mean.
    std::string unescaped;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n')) {
            unescaped += text[++i] == 't' ? '\t' : '\n';
        } else {
            unescaped += text[i];
        }
    }
    TRY(Nodes nodes, TemplateParser(unescaped).parse());
    return FormatTemplate(std::make_unique<Nodes>(std::move(nodes)));
}

Result<std::string> FormatTemplate::run(const JsonValue& object) const {
    return nodes_run(*nodes_, object);
}

}  // namespace davit::cli
