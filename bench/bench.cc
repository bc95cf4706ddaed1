#include "bench/bench.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace davit::bench {

void Samples::add(const Samples& other) {
    values_.insert(values_.end(), other.values_.begin(), other.values_.end());
}

double Samples::percentile_ms(double fraction) const {
    assert(!values_.empty() && fraction > 0 && fraction <= 1);
    std::vector<Nanoseconds> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
    return static_cast<double>(sorted[static_cast<std::size_t>(rank) - 1].count()) / 1e6;
}

JsonLines::~JsonLines() {
    if (file_ != nullptr) {
        std::fclose(file_);
    }
}

Result<void> JsonLines::open(const std::string& path) {
    file_ = std::fopen(path.c_str(), "we");
    if (file_ == nullptr) {
        return Error::from_errno(errno, "fopen", path);
    }
    return ok;
}

void JsonLines::write(const std::map<std::string, std::string>& texts,
                      const std::map<std::string, double>& numbers) {
    if (file_ == nullptr) {
        return;
    }
    std::string line;
    for (const auto& [key, value] : texts) {
        line +=
            fmt::format("{}{}:{}", line.empty() ? "{" : ",", json_quote(key), json_quote(value));
    }
    for (const auto& [key, value] : numbers) {
        line += fmt::format("{}{}:{:.6g}", line.empty() ? "{" : ",", json_quote(key), value);
    }
    fmt::print(file_, "{}}}\n", line);
}

void Table::print() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t column = 0; column < row.size(); ++column) {
            widths[column] = std::max(widths[column], row[column].size());
        }
    }
    for (const auto& row : rows_) {
        for (std::size_t column = 0; column < row.size(); ++column) {
            if (column == 0) {
                fmt::print("{:<{}}", row[column], widths[column]);
            } else {
                fmt::print("  {:>{}}", row[column], widths[column]);
            }
        }
        fmt::print("\n");
    }
    std::fflush(stdout);
}

std::string number_text(double value) {
    if (value < 0) {
        return "-";
    }
    return fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string json_quote(std::string_view text) {
    std::string quoted = "\"";
    for (const char character : text) {
        if (character == '"' || character == '\\') {
            quoted += '\\';
            quoted += character;
        } else if (static_cast<unsigned char>(character) < 0x20) {
            quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
        } else {
            quoted += character;
        }
    }
    return quoted + '"';
}

std::string json_string_find(std::string_view json, std::string_view key) {
    const std::string quoted_key = json_quote(key);
    for (std::size_t at = json.find(quoted_key); at != std::string_view::npos;
         at = json.find(quoted_key, at + 1)) {
        std::size_t next = json.find_first_not_of(" \t\r\n:", at + quoted_key.size());
        if (next == std::string_view::npos || json[next] != '"') {
            continue;
        }
        ++next;
        std::size_t end = next;
        while (end < json.size() && json[end] != '"') {
            end += json[end] == '\\' ? 2 : 1;
        }
        return std::string(json.substr(next, std::min(end, json.size()) - next));
    }
    return {};
}

Result<double> json_number_find(std::string_view json, std::string_view key) {
    const std::string quoted = json_quote(key) + ":";
    const std::size_t at = json.find(quoted);
    double value = 0;
    if (at != std::string_view::npos) {
        const char* begin = json.data() + at + quoted.size();
        if (std::from_chars(begin, json.data() + json.size(), value).ec == std::errc()) {
            return value;
        }
    }
    return Error(ErrorKind::corrupt, "no number " + quoted);
}

}  // namespace davit::bench
