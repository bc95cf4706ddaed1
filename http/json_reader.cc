#include "http/json_reader.h"

#include <simdjson.h>

#include <array>
#include <bit>
#include <cassert>
#include <charconv>

#include "http/json_writer.h"
#include "http/utf8.h"
#include "reactor/base/limits.h"

namespace davit {

namespace dom = simdjson::dom;

/// A dom::element is its document and an index into it; JsonValue keeps just these two words, so
/// that the parser's header stays in this file.
struct JsonAccess {
    struct Words {
        const void* document;
        std::size_t index;
    };

    static_assert(sizeof(Words) == sizeof(dom::element));
    static_assert(std::is_trivially_copyable_v<dom::element>);

    static JsonValue wrap(dom::element element) {
        const Words words = std::bit_cast<Words>(element);
        JsonValue value;
        value.document_ = words.document;
        value.index_ = words.index;
        value.type_ = type_of(element);
        return value;
    }

    static dom::element unwrap(const JsonValue& value) {
        assert(value.present());
        return std::bit_cast<dom::element>(Words{value.document_, value.index_});
    }

    static JsonValue::Type type_of(dom::element element) {
        switch (element.type()) {
            case dom::element_type::OBJECT:
                return JsonValue::Type::object;
            case dom::element_type::ARRAY:
                return JsonValue::Type::array;
            case dom::element_type::STRING:
                return JsonValue::Type::string;
            case dom::element_type::INT64:
                return JsonValue::Type::int64;
            case dom::element_type::UINT64:
                return JsonValue::Type::uint64;
            case dom::element_type::DOUBLE:
                return JsonValue::Type::real;
            case dom::element_type::BOOL:
                return JsonValue::Type::boolean;
            case dom::element_type::NULL_VALUE:
                return JsonValue::Type::absent;
        }
        return JsonValue::Type::absent;
    }

    static JsonValue root_of(const JsonValue& value) {
        return wrap(static_cast<const dom::document*>(value.document_)->root());
    }

    static bool same(const JsonValue& a, const JsonValue& b) {
        return a.document_ == b.document_ && a.index_ == b.index_;
    }
};

namespace {

/// Only in error paths: values do not carry their path, so look for the one that is `target`.
bool find_path(const JsonValue& from, const JsonValue& target, std::string& path) {
    if (JsonAccess::same(from, target)) {
        return true;
    }
    const std::size_t length = path.size();
    if (from.is(JsonValue::Type::object)) {
        for (const auto [key, value] : dom::object(JsonAccess::unwrap(from))) {
            path.append(length == 0 ? "" : ".").append(key);
            if (find_path(JsonAccess::wrap(value), target, path)) {
                return true;
            }
            path.resize(length);
        }
    } else if (from.is(JsonValue::Type::array)) {
        std::size_t index = 0;
        for (const dom::element value : dom::array(JsonAccess::unwrap(from))) {
            path.append("[").append(std::to_string(index++)).append("]");
            if (find_path(JsonAccess::wrap(value), target, path)) {
                return true;
            }
            path.resize(length);
        }
    }
    return false;
}

std::string describe(const JsonValue& value) {
    switch (value.type()) {
        case JsonValue::Type::object:
            return "object";
        case JsonValue::Type::array:
            return "array";
        case JsonValue::Type::string:
            return "string";
        case JsonValue::Type::boolean:
            return "bool";
        case JsonValue::Type::int64:
        case JsonValue::Type::uint64:
        case JsonValue::Type::real:
            return "number " + value.to_json();
        case JsonValue::Type::absent:
            return "null";
    }
    return "value";
}

bool equal_folded(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

void write_value(JsonWriter& out, const JsonValue& value) {
    if (!value.present()) {
        out.null();
        return;
    }
    const dom::element element = JsonAccess::unwrap(value);
    switch (value.type()) {
        case JsonValue::Type::object:
            out.begin_object();
            for (const auto [key, member] : dom::object(element)) {
                out.key(key);
                write_value(out, JsonAccess::wrap(member));
            }
            out.end_object();
            return;
        case JsonValue::Type::array:
            out.begin_array();
            for (const dom::element item : dom::array(element)) {
                write_value(out, JsonAccess::wrap(item));
            }
            out.end_array();
            return;
        case JsonValue::Type::string:
            out.string(std::string_view(element));
            return;
        case JsonValue::Type::int64:
            out.number(std::int64_t(element));
            return;
        case JsonValue::Type::uint64:
            out.number(std::uint64_t(element));
            return;
        case JsonValue::Type::real:
            out.number(double(element));
            return;
        case JsonValue::Type::boolean:
            out.boolean(bool(element));
            return;
        case JsonValue::Type::absent:
            return;
    }
}

Error parse_error(simdjson::error_code code, std::string_view text) {
    const bool blank = text.find_first_not_of(" \t\r\n") == std::string_view::npos;
    if (code == simdjson::EMPTY || blank) {
        return Error(ErrorKind::invalid_argument, "unexpected end of JSON input");
    }
    if (code == simdjson::DEPTH_ERROR) {
        return Error(ErrorKind::invalid_argument, "json: exceeded max depth");
    }
    if (code == simdjson::MEMALLOC || code == simdjson::CAPACITY) {
        return Error(ErrorKind::resource_exhausted, "json: document is too large");
    }
    return Error(ErrorKind::invalid_argument,
                 std::string("invalid JSON: ") + simdjson::error_message(code));
}

/// Buffers of documents up to this size are kept for the next one; larger ones are given back.
constexpr std::size_t parser_keep_bytes_max = 64 * 1024;

simdjson::error_code parse_into(dom::document& document, std::string_view text) {
    // simdjson counts the innermost scalar as a level, so JsonWriter can always write what this
    // reads.
    constexpr std::size_t depth_max = limits::json_depth_max;
    if (text.size() > parser_keep_bytes_max) {
        dom::parser once;
        if (const auto error = once.allocate(text.size(), depth_max)) {
            return error;
        }
        return once.parse_into_document(document, text.data(), text.size()).error();
    }
    thread_local dom::parser parser;
    if (parser.capacity() < text.size() || parser.max_depth() != depth_max) {
        if (const auto error =
                parser.allocate(std::max<std::size_t>(text.size(), 4096), depth_max)) {
            return error;
        }
    }
    return parser.parse_into_document(document, text.data(), text.size()).error();
}

}  // namespace

struct JsonDocument::Impl {
    dom::document document;
};

JsonDocument::JsonDocument(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
    auto impl = std::make_unique<Impl>();
    simdjson::error_code error = parse_into(impl->document, text);
    if (error == simdjson::UTF8_ERROR) {
        error = parse_into(impl->document, utf8_repaired(text));
    }
    if (error != simdjson::SUCCESS) {
        return parse_error(error, text);
    }
    return JsonDocument(std::move(impl));
}

JsonValue JsonDocument::root() const {
    return JsonAccess::wrap(impl_->document.root());
}

Error JsonValue::type_error(std::string_view wanted) const {
    std::string path;
    find_path(JsonAccess::root_of(*this), *this, path);
    std::string message = "json: cannot unmarshal " + describe(*this) + " into ";
    message += path.empty() ? "value of type " : "field " + path + " of type ";
    message += wanted;
    return Error(ErrorKind::invalid_argument, std::move(message));
}

Result<std::string_view> JsonValue::as_string() const {
    if (!present()) {
        return std::string_view{};
    }
    if (!is(Type::string)) {
        return type_error("string");
    }
    return std::string_view(JsonAccess::unwrap(*this));
}

Result<std::int64_t> JsonValue::as_int64() const {
    if (!present()) {
        return 0;
    }
    if (!is(Type::int64)) {
        return type_error("int64");
    }
    return std::int64_t(JsonAccess::unwrap(*this));
}

Result<std::uint64_t> JsonValue::as_uint64() const {
    if (!present()) {
        return 0U;
    }
    std::uint64_t number = 0;
    if (JsonAccess::unwrap(*this).get(number) != simdjson::SUCCESS) {
        return type_error("uint64");
    }
    return number;
}

Result<double> JsonValue::as_double() const {
    if (!present()) {
        return 0.0;
    }
    double number = 0;
    if (JsonAccess::unwrap(*this).get(number) != simdjson::SUCCESS) {
        return type_error("float64");
    }
    return number;
}

Result<bool> JsonValue::as_bool() const {
    if (!present()) {
        return false;
    }
    if (!is(Type::boolean)) {
        return type_error("bool");
    }
    return bool(JsonAccess::unwrap(*this));
}

Result<std::vector<std::string>> JsonValue::as_strings() const {
    std::vector<std::string> out;
    if (!present()) {
        return out;
    }
    if (!is(Type::array)) {
        return type_error("[]string");
    }
    for (const dom::element item : dom::array(JsonAccess::unwrap(*this))) {
        TRY(const std::string_view text, JsonAccess::wrap(item).as_string());
        out.emplace_back(text);
    }
    return out;
}

Result<std::vector<std::string>> JsonValue::as_strings_or_one() const {
    if (is(Type::string)) {
        TRY(const std::string_view text, as_string());
        return std::vector<std::string>{std::string(text)};
    }
    return as_strings();
}

Result<std::map<std::string, std::string>> JsonValue::as_string_map() const {
    std::map<std::string, std::string> out;
    if (!present()) {
        return out;
    }
    if (!is(Type::object)) {
        return type_error("map[string]string");
    }
    for (const auto [key, value] : dom::object(JsonAccess::unwrap(*this))) {
        TRY(const std::string_view text, JsonAccess::wrap(value).as_string());
        out.insert_or_assign(std::string(key), std::string(text));
    }
    return out;
}

Result<std::vector<JsonValue>> JsonValue::as_array() const {
    std::vector<JsonValue> out;
    if (!present()) {
        return out;
    }
    if (!is(Type::array)) {
        return type_error("array");
    }
    for (const dom::element item : dom::array(JsonAccess::unwrap(*this))) {
        out.push_back(JsonAccess::wrap(item));
    }
    return out;
}

Result<std::vector<std::pair<std::string_view, JsonValue>>> JsonValue::as_object() const {
    std::vector<std::pair<std::string_view, JsonValue>> out;
    if (!present()) {
        return out;
    }
    if (!is(Type::object)) {
        return type_error("object");
    }
    for (const auto [key, value] : dom::object(JsonAccess::unwrap(*this))) {
        out.emplace_back(key, JsonAccess::wrap(value));
    }
    return out;
}

std::string JsonValue::to_json() const {
    std::string out;
    JsonWriter writer(out);
    write_value(writer, *this);
    return out;
}

JsonValue JsonValue::member(std::string_view key) const {
    JsonValue exact;
    JsonValue folded;
    if (!is(Type::object)) {
        return exact;
    }
    for (const auto [name, value] : dom::object(JsonAccess::unwrap(*this))) {
        if (name.size() != key.size() || value.is_null()) {
            continue;
        }
        if (name == key) {
            exact = JsonAccess::wrap(value);
        } else if (equal_folded(name, key)) {
            folded = JsonAccess::wrap(value);
        }
    }
    return exact.present() ? exact : folded;
}

Result<JsonValue> JsonValue::checked_member(std::string_view key) const {
    if (present() && !is(Type::object)) {
        return type_error("object");
    }
    return member(key);
}

Result<JsonValue> JsonValue::object(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    if (value.present() && !value.is(Type::object)) {
        return value.type_error("object");
    }
    return value;
}

Result<JsonValue> JsonValue::array(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    if (value.present() && !value.is(Type::array)) {
        return value.type_error("array");
    }
    return value;
}

Result<std::optional<std::string>> JsonValue::string_if(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const std::string_view text, value.as_string());
    return value.present() ? std::optional<std::string>(text) : std::nullopt;
}

Result<std::optional<std::int64_t>> JsonValue::int64_if(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const std::int64_t number, value.as_int64());
    return value.present() ? std::optional<std::int64_t>(number) : std::nullopt;
}

Result<std::optional<bool>> JsonValue::bool_if(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const bool truth, value.as_bool());
    return value.present() ? std::optional<bool>(truth) : std::nullopt;
}

Result<std::string> JsonValue::string_or(std::string_view key, std::string_view fallback) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const std::string_view text, value.as_string());
    return std::string(value.present() ? text : fallback);
}

Result<std::int64_t> JsonValue::int64_or(std::string_view key, std::int64_t fallback) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const std::int64_t number, value.as_int64());
    return value.present() ? number : fallback;
}

Result<std::uint64_t> JsonValue::uint64_or(std::string_view key, std::uint64_t fallback) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const std::uint64_t number, value.as_uint64());
    return value.present() ? number : fallback;
}

Result<double> JsonValue::double_or(std::string_view key, double fallback) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const double number, value.as_double());
    return value.present() ? number : fallback;
}

Result<bool> JsonValue::bool_or(std::string_view key, bool fallback) const {
    TRY(const JsonValue value, checked_member(key));
    TRY(const bool truth, value.as_bool());
    return value.present() ? truth : fallback;
}

Result<std::vector<std::string>> JsonValue::strings(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    return value.as_strings();
}

Result<std::vector<std::string>> JsonValue::strings_or_one(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    return value.as_strings_or_one();
}

Result<std::map<std::string, std::string>> JsonValue::string_map(std::string_view key) const {
    TRY(const JsonValue value, checked_member(key));
    return value.as_string_map();
}

Result<std::vector<std::string>> JsonValue::keys(std::string_view key) const {
    TRY(const JsonValue value, object(key));
    std::vector<std::string> out;
    if (!value.present()) {
        return out;
    }
    for (const auto [name, ignored] : dom::object(JsonAccess::unwrap(value))) {
        out.emplace_back(name);
    }
    return out;
}

}  // namespace davit
