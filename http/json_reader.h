#pragma once
/// JsonDocument and JsonValue: reading JSON the way Go's decoder does, since clients rely on it.
///
///     TRY(JsonDocument document, JsonDocument::parse(body));
///     const JsonValue root = document.root();
///     TRY(std::string image, root.string_or("Image", ""));
///     TRY(JsonValue host_config, root.object("HostConfig"));      // absent, or an object
///     TRY(std::int64_t memory, host_config.int64_or("Memory", 0));
///
/// Keys match exactly, else without regard to ASCII case; the last of equal keys counts; unknown
/// keys are ignored; null is the same as absent. A member of a wrong type is an invalid_argument:
/// "json: cannot unmarshal string into field HostConfig.Memory of type int64".
///
/// A JsonValue is three words and valid as long as its document, also after that was moved. Reading
/// members of an absent value gives absent values, so a missing object needs no special case.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

class JsonValue {
  public:
    enum class Type : std::uint8_t { absent, object, array, string, int64, uint64, real, boolean };

    /// An absent value.
    JsonValue() = default;

    Type type() const { return type_; }

    bool present() const { return type_ != Type::absent; }

    bool is(Type type) const { return type_ == type; }

    // --- this value; an absent one gives the zero value, as Go leaves it
    // -------------------------- Errors of all: invalid_argument if the value is present and of
    // another type.

    /// The view lives as long as the document.
    Result<std::string_view> as_string() const;
    Result<std::int64_t> as_int64() const;
    Result<std::uint64_t> as_uint64() const;
    Result<double> as_double() const;
    Result<bool> as_bool() const;
    Result<std::vector<std::string>> as_strings() const;

    /// A string gives a list of one; an array its strings (Cmd, Entrypoint).
    Result<std::vector<std::string>> as_strings_or_one() const;
    Result<std::map<std::string, std::string>> as_string_map() const;

    /// The items of an array, or the members of an object in the document's order.
    Result<std::vector<JsonValue>> as_array() const;
    Result<std::vector<std::pair<std::string_view, JsonValue>>> as_object() const;

    /// This value as compact JSON; "null" if absent.
    std::string to_json() const;

    // --- members of this object
    // ------------------------------------------------------------------- Errors of those that give
    // a Result: invalid_argument as above, also if this is no object.

    /// The member whatever its type; absent if there is none or this is no object.
    JsonValue member(std::string_view key) const;

    /// The member if it is an object (or array), absent if there is none.
    Result<JsonValue> object(std::string_view key) const;
    Result<JsonValue> array(std::string_view key) const;

    Result<std::string> string_or(std::string_view key, std::string_view fallback) const;
    Result<std::int64_t> int64_or(std::string_view key, std::int64_t fallback) const;
    Result<std::uint64_t> uint64_or(std::string_view key, std::uint64_t fallback) const;
    Result<double> double_or(std::string_view key, double fallback) const;
    Result<bool> bool_or(std::string_view key, bool fallback) const;

    Result<std::optional<std::string>> string_if(std::string_view key) const;
    Result<std::optional<std::int64_t>> int64_if(std::string_view key) const;
    Result<std::optional<bool>> bool_if(std::string_view key) const;

    Result<std::vector<std::string>> strings(std::string_view key) const;
    Result<std::vector<std::string>> strings_or_one(std::string_view key) const;
    Result<std::map<std::string, std::string>> string_map(std::string_view key) const;

    /// The keys of an object whose values carry nothing (ExposedPorts, Volumes), in order.
    Result<std::vector<std::string>> keys(std::string_view key) const;

  private:
    friend class JsonDocument;
    friend struct JsonAccess;  // The .cc file's door to the parser's own type.

    Error type_error(std::string_view wanted) const;
    Result<JsonValue> checked_member(std::string_view key) const;

    const void* document_ = nullptr;
    std::size_t index_ = 0;
    Type type_ = Type::absent;
};

class JsonDocument {
  public:
    /// Parse one document. Ill-formed UTF-8 is read as U+FFFD; the text need not outlive the call.
    /// Errors: invalid_argument: not JSON, bytes after the document, an integer beyond 64 bits, an
    ///         unpaired surrogate escape, or nested deeper than limits::json_depth_max.
    static Result<JsonDocument> parse(std::string_view text);

    JsonDocument(JsonDocument&&) noexcept;
    JsonDocument& operator=(JsonDocument&&) noexcept;
    ~JsonDocument();

    JsonValue root() const;

  private:
    struct Impl;
    explicit JsonDocument(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace davit
