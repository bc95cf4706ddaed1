#include "drivers/log/plain_record.h"

#include <charconv>
#include <utility>

#include "http/json_plain.h"
#include "http/utf8.h"

namespace davit {

namespace {

constexpr std::size_t second_text_bytes = std::string_view("2006-01-02T15:04:05").size();

bool take(std::string_view& rest, std::string_view expected) {
    if (!rest.starts_with(expected)) {
        return false;
    }
    rest.remove_prefix(expected.size());
    return true;
}

/// Take the four digits behind "\u". Surrogates are not taken.
bool take_unicode_escape(std::string_view& rest, std::string& out) {
    constexpr std::size_t digits = 4;
    unsigned code = 0;
    if (rest.size() < digits ||
        std::from_chars(rest.data(), rest.data() + digits, code, 16).ptr != rest.data() + digits) {
        return false;
    }
    rest.remove_prefix(digits);
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0U | code >> 6U);
        out += static_cast<char>(0x80U | (code & 0x3FU));
    } else if (code < 0xD800 || code > 0xDFFF) {
        out += static_cast<char>(0xE0U | code >> 12U);
        out += static_cast<char>(0x80U | (code >> 6U & 0x3FU));
        out += static_cast<char>(0x80U | (code & 0x3FU));
    } else {
        return false;
    }
    return true;
}

/// Take what stands behind a backslash.
bool take_escape(std::string_view& rest, std::string& out) {
    if (rest.empty()) {
        return false;
    }
    const char kind = rest.front();
    rest.remove_prefix(1);
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view bytes = "\"\\/\b\f\n\r\t";
    const std::size_t at = names.find(kind);
    if (at != std::string_view::npos) {
        out += bytes[at];
        return true;
    }
    return kind == 'u' && take_unicode_escape(rest, out);
}

/// Take the rest of a JSON string, and the quote that ends it.
bool take_string(std::string_view& rest, std::string& out) {
    out.clear();
    while (!rest.empty()) {
        const std::size_t plain = json_plain_prefix(rest);
        out.append(rest.data(), plain);
        rest.remove_prefix(plain);
        if (rest.empty()) {
            break;
        }
        const char c = rest.front();
        if (c == '"' || c == '\\') {
            rest.remove_prefix(1);
            if (c == '"') {
                return true;
            }
            if (!take_escape(rest, out)) {
                return false;
            }
            continue;
        }
        const std::size_t size = utf8_sequence_bytes(rest, 0);
        if (size == 0 || static_cast<unsigned char>(c) < ' ') {
            return false;
        }
        out.append(rest.data(), size);
        rest.remove_prefix(size);
    }
    return false;
}

/// Of ".123456789", or nothing. Gives: nanoseconds, negative if it is something else.
std::int64_t fraction_of(std::string_view text) {
    if (text.empty()) {
        return 0;
    }
    if (text.front() != '.' || text.size() < 2 || text.size() > 10) {
        return -1;
    }
    std::int64_t value = 0;
    for (std::size_t i = 1; i < 10; ++i) {
        const char c = i < text.size() ? text[i] : '0';
        if (c < '0' || c > '9') {
            return -1;
        }
        value = value * 10 + (c - '0');
    }
    return value;
}

}  // namespace

/// The time's text is all up to its "Z".
bool PlainRecordReader::take_time(std::string_view text, WallTime& time) {
    if (text.size() < second_text_bytes) {
        return false;
    }
    const std::int64_t fraction = fraction_of(text.substr(second_text_bytes));
    if (fraction < 0) {
        return false;
    }
    const std::string_view second = text.substr(0, second_text_bytes);
    if (second != second_text_) {
        std::string whole(second);
        const Result<WallTime> parsed = rfc3339_parse(whole + "Z");
        if (!parsed) {
            return false;
        }
        second_ = unix_nanoseconds(*parsed);
        second_text_ = std::move(whole);
    }
    std::int64_t nanoseconds = 0;
    if (__builtin_add_overflow(second_, fraction, &nanoseconds)) {
        return false;
    }
    time = wall_from_unix_nanoseconds(nanoseconds);
    return true;
}

bool PlainRecordReader::read(std::string_view line, LogRecord& record) {
    if (!take(line, R"({"log":")") || !take_string(line, record.text) ||
        !take(line, R"(,"stream":"std)")) {
        return false;
    }
    if (take(line, R"(out","time":")")) {
        record.stream = OutputStream::standard_output;
    } else if (take(line, R"(err","time":")")) {
        record.stream = OutputStream::standard_error;
    } else {
        return false;
    }
    constexpr std::string_view end = R"(Z"})";
    if (!line.ends_with(end)) {
        return false;
    }
    record.attributes.clear();
    return take_time(line.substr(0, line.size() - end.size()), record.time);
}

}  // namespace davit
