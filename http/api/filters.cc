#include "http/api/filters.h"

#include <regex.h>

#include <algorithm>

#include "http/json_reader.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

Error bad_filter(std::string_view filter) {
    return Error(ErrorKind::invalid_argument,
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

/// As regcomp(3) wants it; nothing for what would take it unbounded time or memory: back-references,
/// and repetitions of repetitions.
std::optional<std::string> pattern_translate(std::string_view text) {
    std::string pattern;
    std::size_t repeats = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '{' && ++repeats > 1) {
            return std::nullopt;
        }
        if (text[i] != '\\' || i + 1 == text.size()) {
            pattern += text[i];
            continue;
        }
        const char next = text[++i];
        if (next >= '0' && next <= '9') {
            return std::nullopt;
        }
        if (next == 'd') {
            pattern += "[0-9]";
        } else {
            pattern.append({'\\', next});
        }
    }
    return pattern;
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

Result<bool> name_matches(const std::string& expression, std::string_view name) {
    if (expression.size() > limits::filter_expression_bytes_max) {
        return bad_filter("name=" + expression.substr(0, 32) + "...");
    }
    const auto pattern = pattern_translate(expression);
    regex_t compiled{};
    if (!pattern || ::regcomp(&compiled, pattern->c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
        return expression == name;
    }
    const std::string text(name);
    const bool matched = ::regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    ::regfree(&compiled);
    return matched;
}

}  // namespace davit
