#include "http/message.h"

#include <algorithm>
#include <charconv>

namespace davit {

namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool unreserved(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

std::optional<std::string> unescape(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return std::nullopt;
            }
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
        }
    }
    return out;
}

/// As Go writes them.
constexpr std::pair<int, std::string_view> reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Request Entity Too Large"},
    {416, "Requested Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
               return lower(x) == lower(y);
           });
}

const std::string* Headers::find(std::string_view name) const {
    for (const HeaderField& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            return &field.value;
        }
    }
    return nullptr;
}

std::string_view Headers::get(std::string_view name) const {
    const std::string* value = find(name);
    return value != nullptr ? std::string_view(*value) : std::string_view();
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
    for (const HeaderField& field : fields_) {
        if (!equals_ignoring_case(field.name, name)) {
            continue;
        }
        std::string_view rest = field.value;
        while (!rest.empty()) {
            const std::size_t comma = rest.find(',');
            if (equals_ignoring_case(trimmed(rest.substr(0, comma)), token)) {
                return true;
            }
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
    }
    return false;
}

void Headers::add(std::string name, std::string value) {
    if (fields_.empty()) {
        fields_.reserve(8);
    }
    fields_.push_back({std::move(name), std::move(value)});
}

void Headers::set(std::string_view name, std::string value) {
    for (auto field = fields_.begin(); field != fields_.end(); ++field) {
        if (equals_ignoring_case(field->name, name)) {
            field->value = std::move(value);
            fields_.erase(std::remove_if(field + 1,
                                         fields_.end(),
                                         [&](const HeaderField& other) {
                                             return equals_ignoring_case(other.name, name);
                                         }),
                          fields_.end());
            return;
        }
    }
    add(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_,
                  [&](const HeaderField& field) { return equals_ignoring_case(field.name, name); });
}

void Headers::append_to(std::string& out) const {
    for (const HeaderField& field : fields_) {
        out.append(field.name).append(": ");
        const std::size_t begin = out.size();
        out.append(field.value);
        // A value may come from a user (a file's name, say): it must not become another field.
        std::replace_if(
            out.begin() + static_cast<std::ptrdiff_t>(begin),
            out.end(),
            [](char c) { return c == '\r' || c == '\n' || c == '\0'; },
            ' ');
        out.append("\r\n");
    }
}

std::string_view RequestHead::path() const {
    std::string_view rest = target;
    // "GET http://host/path": what a client sends to a proxy, and servers must understand.
    if (const std::size_t scheme = rest.find("://");
        !rest.starts_with('/') && scheme != std::string_view::npos) {
        const std::size_t slash = rest.find_first_of("/?", scheme + 3);
        rest.remove_prefix(std::min(slash, rest.size()));
    }
    rest = rest.substr(0, rest.find_first_of("?#"));
    return rest.empty() ? std::string_view("/") : rest;
}

std::string_view RequestHead::query() const {
    const std::string_view all = target;
    const std::size_t mark = all.find('?');
    if (mark == std::string_view::npos) {
        return {};
    }
    return all.substr(mark + 1, std::min(all.find('#', mark), all.size()) - mark - 1);
}

std::string status_reason(int status) {
    for (const auto& [number, reason] : reasons) {
        if (number == status) {
            return std::string(reason);
        }
    }
    return "Status " + std::to_string(status);
}

Result<std::string> percent_decode(std::string_view text) {
    auto decoded = unescape(text, false);
    if (!decoded) {
        return Error(ErrorKind::invalid_argument, "invalid percent-encoding");
    }
    return *std::move(decoded);
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (unreserved(c) || (keep_slashes && c == '/')) {
            out.push_back(c);
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out.push_back('%');
            out.push_back(digits[byte >> 4]);
            out.push_back(digits[byte & 15]);
        }
    }
    return out;
}

Query Query::parse(std::string_view text) {
    Query query;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('&'), text.size());
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = std::min(pair.find('='), pair.size());
        auto key = unescape(pair.substr(0, equals), true);
        auto value = unescape(pair.substr(std::min(equals + 1, pair.size())), true);
        if (key && value) {
            query.add(*std::move(key), *std::move(value));
        }
    }
    return query;
}

std::optional<std::string_view> Query::find(std::string_view key) const {
    for (const auto& [name, value] : pairs_) {
        if (name == key) {
            return value;
        }
    }
    return std::nullopt;
}

std::string_view Query::get(std::string_view key) const {
    return find(key).value_or(std::string_view());
}

std::vector<std::string_view> Query::all(std::string_view key) const {
    std::vector<std::string_view> values;
    for (const auto& [name, value] : pairs_) {
        if (name == key) {
            values.emplace_back(value);
        }
    }
    return values;
}

bool Query::boolean(std::string_view key) const {
    return boolean(key, false);
}

bool Query::boolean(std::string_view key, bool when_absent) const {
    const auto found = find(key);
    if (!found) {
        return when_absent;
    }
    const std::string_view value = trimmed(*found);
    return !(value.empty() || value == "0" || equals_ignoring_case(value, "no") ||
             equals_ignoring_case(value, "false") || equals_ignoring_case(value, "none"));
}

Result<std::optional<std::int64_t>> Query::integer(std::string_view key) const {
    const std::string_view text = get(key);
    if (text.empty()) {
        return std::optional<std::int64_t>();
    }
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size()) {
        return Error(ErrorKind::invalid_argument,
                     "invalid value for " + std::string(key) + ": \"" + std::string(text) +
                         "\" is not a number");
    }
    return std::optional<std::int64_t>(value);
}

void Query::add(std::string key, std::string value) {
    pairs_.emplace_back(std::move(key), std::move(value));
}

void Query::merge(Query other) {
    for (auto& pair : other.pairs_) {
        pairs_.push_back(std::move(pair));
    }
}

std::string Query::text() const {
    std::string out;
    for (const auto& [key, value] : pairs_) {
        if (!out.empty()) {
            out.push_back('&');
        }
        out.append(percent_encode(key)).push_back('=');
        out.append(percent_encode(value));
    }
    return out;
}

}  // namespace davit
