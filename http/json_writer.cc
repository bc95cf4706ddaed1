#include "http/json_writer.h"

#include <cassert>
#include <charconv>
#include <cmath>

#include "http/json_plain.h"
#include "http/utf8.h"

namespace davit {

namespace {

void append_control(std::string& out, unsigned char byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    switch (byte) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            out += "\\u00";
            out += digits[byte >> 4];
            out += digits[byte & 15];
            return;
    }
}

template <typename T>
void append_number(std::string& out, T value) {
    std::array<char, 32> digits{};
    const std::to_chars_result end =
        std::to_chars(digits.data(), digits.data() + digits.size(), value);
    out.append(digits.data(), end.ptr);
}

}  // namespace

void JsonWriter::before_value() {
    if (depth_ == 0) {
        assert(!value_written_ && "a document is one value");
        value_written_ = true;
        return;
    }
    Frame& frame = frames_[depth_ - 1];
    assert(frame != Frame::object && "a member needs its key first");
    if (frame == Frame::object_value) {
        frame = Frame::object;
    } else if (comma_due_) {
        out_->push_back(',');
    }
    comma_due_ = true;
}

void JsonWriter::open(Frame frame, char bracket) {
    before_value();
    assert(depth_ < frames_.size() && "nested deeper than limits::json_depth_max");
    frames_[depth_++] = frame;
    comma_due_ = false;
    out_->push_back(bracket);
}

void JsonWriter::close([[maybe_unused]] Frame frame, char bracket) {
    assert(depth_ > 0 && frames_[depth_ - 1] == frame && "closes what is not open");
    --depth_;
    comma_due_ = true;
    out_->push_back(bracket);
}

JsonWriter& JsonWriter::begin_object() {
    open(Frame::object, '{');
    return *this;
}

JsonWriter& JsonWriter::end_object() {
    close(Frame::object, '}');
    return *this;
}

JsonWriter& JsonWriter::begin_array() {
    open(Frame::array, '[');
    return *this;
}

JsonWriter& JsonWriter::end_array() {
    close(Frame::array, ']');
    return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
    assert(depth_ > 0 && frames_[depth_ - 1] == Frame::object && "a key belongs into an object");
    frames_[depth_ - 1] = Frame::object_value;
    if (append_plain(name, true)) {
        return *this;
    }
    if (comma_due_) {
        out_->push_back(',');
    }
    append_escaped(name);
    out_->push_back(':');
    return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
    before_value();
    if (!append_plain(text, false)) {
        append_escaped(text);
    }
    return *this;
}

JsonWriter& JsonWriter::signed_number(std::int64_t value) {
    before_value();
    append_number(*out_, value);
    return *this;
}

JsonWriter& JsonWriter::unsigned_number(std::uint64_t value) {
    before_value();
    append_number(*out_, value);
    return *this;
}

JsonWriter& JsonWriter::number(double value) {
    assert(std::isfinite(value) && "JSON has no infinity");
    before_value();
    append_number(*out_, value);
    return *this;
}

JsonWriter& JsonWriter::literal(std::string_view text) {
    assert(!text.empty());
    before_value();
    out_->append(text);
    return *this;
}

/// Texts are short, and a document has hundreds: they are looked at and copied in one go, into room
/// that is made once. Gives: false, and nothing appended, for one that is long or has to be
/// escaped.
bool JsonWriter::append_plain(std::string_view text, bool is_key) {
    constexpr std::size_t short_bytes = 96;
    if (text.size() > short_bytes) {
        return false;
    }
    std::array<char, short_bytes + 4> room;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    char* at = room.data();
    if (is_key && comma_due_) {
        *at++ = ',';
    }
    *at++ = '"';
    std::size_t done = 0;
    for (; done + 8 <= text.size(); done += 8, at += 8) {
        if (!json_is_plain(text.data() + done)) {
            return false;
        }
        std::memcpy(at, text.data() + done, 8);
    }
    for (; done < text.size(); ++done) {
        if (!json_is_plain(text[done])) {
            return false;
        }
        *at++ = text[done];
    }
    *at++ = '"';
    if (is_key) {
        *at++ = ':';
    }
    out_->append(room.data(), at);
    return true;
}

void JsonWriter::append_escaped(std::string_view text) {
    std::string& out = *out_;
    out.push_back('"');
    std::size_t plain_from = 0;
    for (std::size_t at = 0; at < text.size();) {
        at += json_plain_prefix(text.substr(at));
        if (at == text.size()) {
            break;
        }
        const auto byte = static_cast<unsigned char>(text[at]);
        std::size_t bytes = utf8_sequence_bytes(text, at);
        const std::string_view sequence = text.substr(at, bytes);
        // Line separators end a string literal in JavaScript; Go escapes them, so do we.
        const bool separator = sequence == "\xE2\x80\xA8" || sequence == "\xE2\x80\xA9";
        if (bytes > 1 && !separator) {
            at += bytes;
            continue;
        }
        out.append(text, plain_from, at - plain_from);
        if (separator) {
            out += sequence.back() == '\xA8' ? "\\u2028" : "\\u2029";
        } else if (bytes == 0) {
            out += "\\ufffd";
            bytes = 1;
        } else {
            append_control(out, byte);
        }
        at += bytes;
        plain_from = at;
    }
    out.append(text, plain_from);
    out.push_back('"');
}

}  // namespace davit
