#pragma once
/// The `filters` query parameter: {"label":["a=b"]} or the older {"label":{"a=b":true}}.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

class Filters {
  public:
    /// Empty text: no filters. Errors: invalid_argument (not JSON of either form, an unknown key).
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

/// Docker's name filter: a regular expression, found anywhere; text that is no valid one never matches.
/// Bounded: an expression over 256 bytes is refused as invalid_argument.
Result<bool> name_matches(const std::string& expression, std::string_view name);

}  // namespace davit
