#include <algorithm>

#include <fmt/format.h>

#include "cli/format_template_node.h"

namespace davit::cli {

namespace {

using Node = FormatTemplate::Node;
using Nodes = FormatTemplate::Nodes;

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
            return template_error("unterminated quoted string");
        }
        words.push_back(std::move(word));
        action.remove_prefix(place + 1);
    }
    return words;
}

/// ".A.B" as its fields.
Result<std::vector<std::string>> path_split(std::string_view text) {
    const auto failed = [text] {
        return template_error(
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
        return template_error("missing value for command");
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
        return template_error(fmt::format("\"{}\" needs a path like .A.B", action));
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
        return template_error(fmt::format("\"{}\" is not supported", trim_right(action)));
    }
    return node;
}

class TemplateParser {
  public:
    explicit TemplateParser(std::string_view text) : rest_(text) {}

    Result<Nodes> parse() {
        TRY(Nodes nodes, parse_until_end(0));
        if (ended_by_ != "") {
            return template_error(fmt::format("unexpected {{{{{}}}}}", ended_by_));
        }
        return nodes;
    }

  private:
    static constexpr int depth_max = 16;

    /// Nodes up to {{end}}, {{else}} or the end of the text, named by ended_by_.
    Result<Nodes> parse_until_end(int depth) {
        if (depth > depth_max) {
            return template_error("nested too deeply");
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
            return template_error("unclosed action");
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
            return template_error(fmt::format("{{{{{}}}}} without {{{{end}}}}", action));
        }
        ended_by_ = "";
        return node;
    }

    std::string_view rest_;
    std::string_view ended_by_;
    bool trim_next_ = false;
};

}  // namespace

Error template_error(std::string message) {
    return Error(ErrorKind::invalid_argument, "template parsing error: " + std::move(message));
}

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

}  // namespace davit::cli
