#pragma once
/// JsonWriter: append one JSON document to a string.
///
///     JsonWriter json(out);
///     json.begin_object().key("Id").string(id).key("Names").strings(names);
///     json.key("State").begin_object().key("Running").boolean(true).end_object();
///     json.end_object();
///
/// Text is escaped as Go's encoder does with HTML escaping off, since clients compare such bytes:
/// control characters, quote, backslash, U+2028 and U+2029 are escaped, ill-formed UTF-8 becomes
/// U+FFFD. Misuse (a value without a key, an array closed as an object) is our bug and asserts.
/// The string must outlive the writer; what it held before stays.
#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/limits.h"

namespace davit {

class JsonWriter {
  public:
    explicit JsonWriter(std::string& out) : out_(&out) {}

    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();

    /// The name of the member that follows; only inside an object.
    JsonWriter& key(std::string_view name);

    JsonWriter& string(std::string_view text);

    template <std::integral T>

    requires(!std::same_as<T, bool> && !std::same_as<T, char>) JsonWriter& number(T value) {
        if constexpr (std::is_signed_v<T>) {
            return signed_number(static_cast<std::int64_t>(value));
        } else {
            return unsigned_number(static_cast<std::uint64_t>(value));
        }
    }

    /// The shortest digits that read back as the same value. Must be finite.
    JsonWriter& number(double value);

    JsonWriter& boolean(std::same_as<bool> auto value) { return literal(value ? "true" : "false"); }

    JsonWriter& null() { return literal("null"); }

    /// One value that is JSON already; the caller vouches for it.
    JsonWriter& raw(std::string_view json) { return literal(json); }

    /// An array of strings from any range of them; an empty range gives [].
    template <typename Range>
    JsonWriter& strings(const Range& range) {
        begin_array();
        for (const auto& text : range) {
            string(text);
        }
        return end_array();
    }

    /// An object of strings from any range of (name, text) pairs; an empty range gives {}.
    template <typename Range>
    JsonWriter& string_map(const Range& range) {
        begin_object();
        for (const auto& [name, text] : range) {
            key(name).string(text);
        }
        return end_object();
    }

    /// True once the document's one value is finished.
    bool complete() const { return depth_ == 0 && value_written_; }

  private:
    enum class Frame : std::uint8_t { array, object, object_value };

    JsonWriter& signed_number(std::int64_t value);
    JsonWriter& unsigned_number(std::uint64_t value);
    JsonWriter& literal(std::string_view text);
    void before_value();
    void open(Frame frame, char bracket);
    void close(Frame frame, char bracket);
    bool append_plain(std::string_view text, bool is_key);
    void append_escaped(std::string_view text);

    std::string* out_;
    std::array<Frame, limits::json_depth_max> frames_{};
    std::size_t depth_ = 0;
    bool comma_due_ = false;
    bool value_written_ = false;
};

}  // namespace davit
