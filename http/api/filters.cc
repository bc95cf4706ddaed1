#include "http/api/filters.h"

#include <regex.h>

#include <algorithm>
#include <array>

#include "http/json_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

Error bad_filter(std::string_view filter) {
    return Error(
        ErrorKind::invalid_argument,
        filter.empty() ? "invalid filter" : "invalid filter '" + std::string(filter) + "'");
}

Result<std::vector<std::string>> values_of(const JsonValue& json) {
    if (json.is(JsonValue::Type::array)) {
        return json.as_strings();
    }
    TRY(const auto members, json.as_object());
    std::vector<std::string> values;
    for (const auto& [value, wanted] : members) {
        TRY(const bool set, wanted.as_bool());
        if (set) {
            values.emplace_back(value);
        }
    }
    return values;
}

bool label_found(const std::string& wanted, const std::map<std::string, std::string>& labels) {
    const std::size_t equals = wanted.find('=');
    const auto found = labels.find(wanted.substr(0, equals));
    return found != labels.end() && (equals == std::string::npos ||
                                     std::string_view(wanted).substr(equals + 1) == found->second);
}

Error bad_expression(const std::string& text, std::string_view why) {
    constexpr std::size_t shown_max = 40;
    return Error(
        ErrorKind::invalid_argument,
        "invalid filter: expression '" + text.substr(0, shown_max) + "': " + std::string(why));
}

/// As regcomp(3) wants it.
Result<std::string> expression_translate(const std::string& text) {
    std::string expression;
    std::size_t repeats = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '{' && ++repeats > 1) {
            return bad_expression(text, "more than one counted repetition");
        }
        if (text[i] == '\0') {
            return bad_expression(text, "a NUL byte");
        }
        if (text[i] != '\\' || i + 1 == text.size()) {
            expression += text[i];
            continue;
        }
        const char next = text[++i];
        if (next >= '0' && next <= '9') {
            return bad_expression(text, "back-references are not supported");
        }
        if (next == 'd') {
            expression += "[0-9]";
        } else {
            expression.append({'\\', next});
        }
    }
    return expression;
}

/// One unit of a path pattern. Gives: its length; 0 if it is malformed.
std::size_t unit_match(std::string_view pattern, char c, bool& matched) {
    if (pattern.front() == '?') {
        matched = c != '/';
        return 1;
    }
    if (pattern.front() == '\\') {
        matched = pattern.size() > 1 && pattern[1] == c;
        return pattern.size() > 1 ? 2 : 0;
    }
    if (pattern.front() != '[') {
        matched = pattern.front() == c;
        return 1;
    }
    const bool negated = pattern.size() > 1 && pattern[1] == '^';
    const std::size_t first = negated ? 2 : 1;
    bool found = false;
    std::size_t at = first;
    while (at < pattern.size() && (pattern[at] != ']' || at == first)) {
        const char low = pattern[at];
        const bool range = at + 2 < pattern.size() && pattern[at + 1] == '-';
        const char high = range ? pattern[at + 2] : low;
        found = found || (low <= c && c <= high);
        at += range ? 3 : 1;
    }
    matched = found != negated && c != '/';
    return at < pattern.size() ? at + 1 : 0;
}

}  // namespace

Result<Filters> Filters::parse(std::string_view text, std::span<const std::string_view> known) {
    Filters filters;
    if (text.empty()) {
        return filters;
    }
    const auto document = JsonDocument::parse(text);
    if (!document) {
        return bad_filter("");
    }
    const auto members = document->root().as_object();
    if (!members) {
        return bad_filter("");
    }
    for (const auto& [key, json] : *members) {
        if (std::ranges::find(known, key) == known.end()) {
            return bad_filter(key);
        }
        auto values = values_of(json);
        if (!values) {
            return bad_filter("");
        }
        if (!values->empty()) {
            filters.values_[std::string(key)] = *std::move(values);
        }
    }
    return filters;
}

const std::vector<std::string>& Filters::all(std::string_view key) const {
    static const std::vector<std::string> none;
    const auto found = values_.find(key);
    return found == values_.end() ? none : found->second;
}

bool Filters::admits(std::string_view key, std::string_view value) const {
    const auto& wanted = all(key);
    return wanted.empty() || std::ranges::find(wanted, value) != wanted.end();
}

bool Filters::admits_prefix(std::string_view key, std::string_view value) const {
    const auto& wanted = all(key);
    return wanted.empty() || std::ranges::any_of(wanted, [&](const std::string& prefix) {
               return value.starts_with(prefix);
           });
}

bool Filters::admits_labels(std::string_view key,
                            const std::map<std::string, std::string>& labels) const {
    const auto& wanted = all(key);
    return std::ranges::all_of(
        wanted, [&](const std::string& label) { return label_found(label, labels); });
}

Result<std::optional<bool>> Filters::boolean(std::string_view key) const {
    const auto& wanted = all(key);
    if (wanted.empty()) {
        return std::optional<bool>{};
    }
    if (wanted.size() == 1) {
        if (wanted.front() == "true" || wanted.front() == "1") {
            return std::optional(true);
        }
        if (wanted.front() == "false" || wanted.front() == "0") {
            return std::optional(false);
        }
    }
    std::string list;
    for (const std::string& value : wanted) {
        list.append(list.empty() ? "" : " ").append(value);
    }
    return bad_filter(std::string(key) + "=[" + list + "]");
}

Error filter_error(std::string_view key, std::string_view value) {
    return bad_filter(std::string(key) + "=" + std::string(value));
}

struct NamePattern::Compiled {
    Compiled() = default;
    Compiled(const Compiled&) = delete;
    Compiled& operator=(const Compiled&) = delete;

    ~Compiled() {
        if (usable) {
            ::regfree(&expression);
        }
    }

    regex_t expression{};
    bool usable = false;
};

Result<NamePattern> NamePattern::compile(const std::string& expression) {
    if (expression.size() > limits::filter_expression_bytes_max) {
        return bad_expression(expression, "too long");
    }
    TRY(const std::string translated, expression_translate(expression));
    auto compiled = std::make_shared<Compiled>();
    const int code = ::regcomp(&compiled->expression, translated.c_str(), REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        std::array<char, 128> why{};
        ::regerror(code, &compiled->expression, why.data(), why.size());
        return bad_expression(expression, why.data());
    }
    compiled->usable = true;
    NamePattern pattern;
    pattern.compiled_ = std::move(compiled);
    return pattern;
}

bool NamePattern::matches(const std::string& name) const {
    return ::regexec(&compiled_->expression, name.c_str(), 0, nullptr, 0) == 0;
}

bool path_matches(std::string_view pattern, std::string_view text) {
    std::size_t star = std::string_view::npos;  // After the last "*", and what it has taken so far.
    std::size_t star_text = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = ++at;
            star_text = i;
            continue;
        }
        bool matched = false;
        const std::size_t length =
            at < pattern.size() ? unit_match(pattern.substr(at), text[i], matched) : 0;
        if (length != 0 && matched) {
            at += length;
            ++i;
        } else if (star != std::string_view::npos && text[star_text] != '/') {
            at = star;
            i = ++star_text;
        } else {
            return false;
        }
    }
    while (at < pattern.size() && pattern[at] == '*') {
        ++at;
    }
    return at == pattern.size();
}

}  // namespace davit
