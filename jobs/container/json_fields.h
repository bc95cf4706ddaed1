#pragma once
/// One list of a struct's JSON members serves reading and writing, so that the two cannot differ:
///
///     template <typename V>
///     void fields(V& visit, FieldOf<V, RestartPolicy>& policy) {
///         visit("Name", policy.name);
///         visit("MaximumRetryCount", policy.maximum_retry_count);
///     }
///
///     FieldReader reader(json);                     FieldWriter writer(json);
///     fields(reader, policy);                       fields(writer, policy);
///     TRY_VOID(std::move(reader).result());
///
/// Reading leaves what is absent as it was and stops at the first error; writing keeps the list's
/// order. A member may be text, a number, a boolean, a time, a list, a set of names
/// ({"80/tcp":{}}), a map, anything of these as an optional, a struct with `fields` of its own, or
/// a type with field_read() and field_write() in its namespace.
#include <algorithm>
#include <array>
#include <concepts>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "http/json_reader.h"
#include "http/json_writer.h"
#include "reactor/base/clock.h"

namespace davit {

/// What is written for "", 0, false, an empty list or an absent optional.
enum class WhenEmpty : std::uint8_t { keep, null, omit };

/// T as a visitor may touch it.
template <typename V, typename T>
using FieldOf = std::conditional_t<V::reading, T, const T>;

class FieldReader;
class FieldWriter;

template <typename T>
concept FieldStruct = requires(FieldReader& reader, T& value) {
    fields(reader, value);
};

template <typename T>
concept FieldCustom = requires(const JsonValue& json, T& value) {
    { field_read(json, value) } -> std::same_as<Result<void>>;
};

template <typename T>
concept FieldNumber = std::integral<T> && !std::same_as<T, bool>;

class FieldReader {
  public:
    static constexpr bool reading = true;

    explicit FieldReader(const JsonValue& json) : json_(json) {
        if (json.present() && !json.is(JsonValue::Type::object)) {
            keep(json.as_object());
        }
    }

    template <typename T>
    void operator()(std::string_view key, T& value, WhenEmpty = WhenEmpty::keep) {
        const JsonValue member = json_.member(key);
        if (!error_ && member.present()) {
            keep(read(member, value));
        }
    }

    /// A member that has only this value.
    void constant(std::string_view, std::string_view) {}

    /// Text or a list of text (Cmd, Entrypoint); null and absent are the same, [] is not.
    void words(std::string_view key, std::optional<std::vector<std::string>>& value) {
        const JsonValue member = json_.member(key);
        if (!error_ && member.present()) {
            value.emplace();
            take(member.as_strings_or_one(), *value);
        }
    }

    Result<void> result() && { return error_ ? Result<void>(*std::move(error_)) : ok; }

  private:
    template <typename T>
    void keep(Result<T>&& result) {
        if (!result && !error_) {
            error_ = std::move(result).error();
        }
    }

    template <typename T>
    void take(Result<T>&& result, T& value) {
        if (result) {
            value = *std::move(result);
        }
        keep(std::move(result));
    }

    template <typename From, typename T>
    static Result<void> assign(Result<From>&& from, T& value) {
        if (!from) {
            return std::move(from).error();
        }
        value = T(*std::move(from));
        return ok;
    }

    static Result<void> read(const JsonValue& json, std::string& value) {
        return assign(json.as_string(), value);
    }

    static Result<void> read(const JsonValue& json, bool& value) {
        return assign(json.as_bool(), value);
    }

    static Result<void> read(const JsonValue& json, std::vector<std::string>& value) {
        return assign(json.as_strings(), value);
    }

    static Result<void> read(const JsonValue& json, std::map<std::string, std::string>& value) {
        return assign(json.as_string_map(), value);
    }

    template <FieldNumber T>
    static Result<void> read(const JsonValue& json, T& value) {
        TRY(const std::int64_t number, json.as_int64());
        if (!std::in_range<T>(number)) {
            return Error(
                ErrorKind::invalid_argument,
                "json: cannot unmarshal number " + std::to_string(number) + ": it is out of range");
        }
        value = static_cast<T>(number);
        return ok;
    }

    static Result<void> read(const JsonValue& json, WallTime& value) {
        TRY(const std::int64_t nanoseconds, json.as_int64());
        value = wall_from_unix_nanoseconds(nanoseconds);
        return ok;
    }

    static Result<void> read(const JsonValue& json, std::set<std::string>& value) {
        TRY(const auto members, json.as_object());
        for (const auto& member : members) {
            value.emplace(member.first);
        }
        return ok;
    }

    template <typename T>
    static Result<void> read(const JsonValue& json, std::optional<T>& value) {
        return read(json, value.emplace());
    }

    template <typename T>
    static Result<void> read(const JsonValue& json, std::vector<T>& value) {
        TRY(const std::vector<JsonValue> items, json.as_array());
        for (const JsonValue& item : items) {
            TRY_VOID(read(item, value.emplace_back()));
        }
        return ok;
    }

    /// As Go reads into an array: what is missing is zero, what is too much is dropped.
    template <typename T, std::size_t N>
    static Result<void> read(const JsonValue& json, std::array<T, N>& value) {
        TRY(const std::vector<JsonValue> items, json.as_array());
        for (std::size_t i = 0; i < std::min(N, items.size()); ++i) {
            TRY_VOID(read(items[i], value[i]));
        }
        return ok;
    }

    template <typename T>
    static Result<void> read(const JsonValue& json, std::map<std::string, T>& value) {
        TRY(const auto members, json.as_object());
        for (const auto& [name, member] : members) {
            TRY_VOID(read(member, value[std::string(name)]));
        }
        return ok;
    }

    template <FieldStruct T>
    static Result<void> read(const JsonValue& json, T& value) {
        FieldReader reader(json);
        fields(reader, value);
        return std::move(reader).result();
    }

    template <FieldCustom T>
    static Result<void> read(const JsonValue& json, T& value) {
        return field_read(json, value);
    }

    JsonValue json_;
    std::optional<Error> error_;
};

class FieldWriter {
  public:
    static constexpr bool reading = false;

    explicit FieldWriter(JsonWriter& json) : json_(&json) {}

    template <typename T>
    void operator()(std::string_view key, const T& value, WhenEmpty when = WhenEmpty::keep) {
        const bool is_empty = empty(value);
        if (is_empty && when == WhenEmpty::omit) {
            return;
        }
        json_->key(key);
        if (is_empty && when == WhenEmpty::null) {
            json_->null();
        } else {
            write(value);
        }
    }

    void constant(std::string_view key, std::string_view value) { json_->key(key).raw(value); }

    void words(std::string_view key, const std::optional<std::vector<std::string>>& value) {
        (*this)(key, value);
    }

  private:
    template <typename T>
    static bool empty(const T& value) {
        if constexpr (std::is_arithmetic_v<T>) {
            return value == T{};
        } else if constexpr (requires { value.has_value(); }) {
            return !value.has_value();
        } else if constexpr (requires { value.empty(); }) {
            return value.empty();
        } else {
            return false;
        }
    }

    template <typename T>
    void write(const T& value) {
        if constexpr (FieldStruct<T>) {
            json_->begin_object();
            fields(*this, value);
            json_->end_object();
        } else if constexpr (FieldCustom<T>) {
            field_write(*json_, value);
        } else if constexpr (std::same_as<T, bool>) {
            json_->boolean(value);
        } else if constexpr (std::integral<T>) {
            json_->number(value);
        } else if constexpr (std::same_as<T, WallTime>) {
            json_->number(unix_nanoseconds(value));
        } else {
            json_->string(value);
        }
    }

    template <typename T>
    void write(const std::optional<T>& value) {
        if (value) {
            write(*value);
        } else {
            json_->null();
        }
    }

    template <typename T>
    void write_list(const T& value) {
        json_->begin_array();
        for (const auto& item : value) {
            write(item);
        }
        json_->end_array();
    }

    template <typename T>
    void write(const std::vector<T>& value) {
        write_list(value);
    }

    template <typename T, std::size_t N>
    void write(const std::array<T, N>& value) {
        write_list(value);
    }

    template <typename T>
    void write(const std::map<std::string, T>& value) {
        json_->begin_object();
        for (const auto& [name, item] : value) {
            json_->key(name);
            write(item);
        }
        json_->end_object();
    }

    void write(const std::set<std::string>& value) {
        json_->begin_object();
        for (const std::string& name : value) {
            json_->key(name).begin_object().end_object();
        }
        json_->end_object();
    }

    JsonWriter* json_;
};

}  // namespace davit
