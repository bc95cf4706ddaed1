#pragma once
/// The parts of HTTP messages that both ends share: header fields, heads, percent-coding, queries.
///
/// Follows: RFC 9110, RFC 9112, RFC 3986 section 2.1; API.md 2.1 for Docker's query booleans.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct HeaderField {
    std::string name;
    std::string value;
};

/// Header fields in the order in which they arrived or were added; names match without case.
class Headers {
  public:
    /// The first field of this name; null if there is none.
    const std::string* find(std::string_view name) const;

    /// The first field's value; "" if there is none.
    std::string_view get(std::string_view name) const;

    bool contains(std::string_view name) const { return find(name) != nullptr; }

    /// True if one of the fields' comma-separated lists has this token: Connection: Upgrade.
    bool has_token(std::string_view name, std::string_view token) const;

    /// Append a field.
    void add(std::string name, std::string value);

    /// Replace every field of this name by one.
    void set(std::string_view name, std::string value);

    /// Remove every field of this name.
    void remove(std::string_view name);

    void clear() { fields_.clear(); }

    bool empty() const { return fields_.empty(); }

    std::size_t size() const { return fields_.size(); }

    auto begin() const { return fields_.begin(); }

    auto end() const { return fields_.end(); }

    HeaderField& back() { return fields_.back(); }

    /// Append "Name: value\r\n" of every field; line ends inside a value become spaces.
    void append_to(std::string& out) const;

  private:
    std::vector<HeaderField> fields_;
};

/// ASCII letters only, as field names and tokens need.
bool equals_ignoring_case(std::string_view a, std::string_view b);

struct RequestHead {
    std::string method;
    /// As it came: "/v1.50/containers/json?all=1", or with scheme and authority before it.
    std::string target;
    /// HTTP/1.x.
    int version_minor = 1;
    Headers headers;

    /// The target's path, not percent-decoded; "/" at least. Views into target.
    std::string_view path() const;

    /// What follows the "?"; "" if there is none. Views into target.
    std::string_view query() const;
};

struct ResponseHead {
    int status = 0;
    std::string reason;
    int version_minor = 1;
    Headers headers;
};

/// The standard's words for a status ("Not Found"); "Status N" for numbers it does not know.
std::string status_reason(int status);

/// Undo %XX. Errors: invalid_argument for a % without two hex digits.
Result<std::string> percent_decode(std::string_view text);

/// Escape everything but unreserved characters, and "/" if keep_slashes.
std::string percent_encode(std::string_view text, bool keep_slashes = false);

/// A parsed query string, or form body (application/x-www-form-urlencoded). Keys may repeat.
class Query {
  public:
    Query() = default;

    /// "+" means a space. A pair with a broken escape is dropped, as Go's net/url does.
    static Query parse(std::string_view text);

    /// The first value of a key; nothing if the key is absent.
    std::optional<std::string_view> find(std::string_view key) const;

    /// The first value of a key; "" if the key is absent.
    std::string_view get(std::string_view key) const;

    /// Every value of a key, in order.
    std::vector<std::string_view> all(std::string_view key) const;

    bool contains(std::string_view key) const { return find(key).has_value(); }

    /// Docker's rule: "", 0, no, false, none (any case) are false, as is an absent key; everything
    /// else is true.
    bool boolean(std::string_view key) const;

    /// As boolean(), but an absent key has a meaning of its own. A key without a value is false.
    bool boolean(std::string_view key, bool when_absent) const;

    /// A decimal number, maybe negative; nothing if the key is absent or empty.
    /// Errors: invalid_argument.
    Result<std::optional<std::int64_t>> integer(std::string_view key) const;

    void add(std::string key, std::string value);

    /// Append another's pairs: the parameters of a form body.
    void merge(Query other);

    /// "a=1&b=x%20y", in order.
    std::string text() const;

    bool empty() const { return pairs_.empty(); }

    auto begin() const { return pairs_.begin(); }

    auto end() const { return pairs_.end(); }

  private:
    std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace davit
