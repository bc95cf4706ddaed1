#pragma once
/// The `filters` query parameter: {"label":["a=b"]} or the older {"label":{"a=b":true}}.
///
/// Values of one key are alternatives, except labels, which must all be there; keys must all match.
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

class Filters {
  public:
    /// Empty text: no filters. Errors: invalid_argument: "invalid filter" (not JSON of either
    /// form), "invalid filter 'key'" (unknown).
    static Result<Filters> parse(std::string_view text, std::span<const std::string_view> known);

    bool has(std::string_view key) const { return values_.contains(key); }

    /// The values of a key; empty if it was not given.
    const std::vector<std::string>& all(std::string_view key) const;

    /// True if the key was not given, or one of its values is this.
    bool admits(std::string_view key, std::string_view value) const;

    /// As admits(), but a value matches by being a prefix.
    bool admits_prefix(std::string_view key, std::string_view value) const;

    /// Every "name" or "name=value" of the key must be among the labels.
    bool admits_labels(std::string_view key,
                       const std::map<std::string, std::string>& labels) const;

    /// A yes-or-no filter; nothing if it was not given. Errors: invalid_argument.
    Result<std::optional<bool>> boolean(std::string_view key) const;

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// "invalid filter 'key=value'".
Error filter_error(std::string_view key, std::string_view value);

/// Docker's name filter: a regular expression, found anywhere. What regcomp(3) has no word for (\d)
/// is translated; what would take it unbounded time or memory (back-references, repetitions of
/// repetitions) is refused. Follows: regex(7), extended.
class NamePattern {
  public:
    /// Errors: invalid_argument. Limits: filter_expression_bytes_max.
    static Result<NamePattern> compile(const std::string& expression);

    bool matches(const std::string& name) const;

  private:
    struct Compiled;

    std::shared_ptr<const Compiled> compiled_;
};

/// As Go's path.Match: "*" and "?" stop at a slash, "[a-z]", "[^a-z]", a backslash takes the next
/// as it is. A malformed pattern matches nothing. Time: at most pattern times text.
bool path_matches(std::string_view pattern, std::string_view text);

}  // namespace davit
