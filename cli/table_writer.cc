#include "cli/table_writer.h"

#include <algorithm>

namespace davit::cli {

namespace {

constexpr std::size_t column_gap = 3;

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

}  // namespace

std::size_t text_width(std::string_view text) {
    return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, is_continuation));
}

std::string text_ellipsis(std::string_view text, std::size_t width) {
    if (text_width(text) <= width || width == 0) {
        return std::string(text);
    }
    std::size_t end = 0;
    for (std::size_t kept = 0; kept + 1 < width; ++kept) {
        ++end;
        while (end < text.size() && is_continuation(text[end])) {
            ++end;
        }
    }
    return std::string(text.substr(0, end)) + "…";
}

void TableWriter::row(std::vector<std::string> cells) {
    rows_.push_back(std::move(cells));
}

void TableWriter::row_of_tabs(std::string_view text) {
    std::vector<std::string> cells;
    for (;;) {
        const std::size_t tab = text.find('\t');
        cells.emplace_back(text.substr(0, tab));
        if (tab == std::string_view::npos) {
            break;
        }
        text.remove_prefix(tab + 1);
    }
    row(std::move(cells));
}

std::string TableWriter::text() const {
    std::vector<std::size_t> widths;
    for (const auto& cells : rows_) {
        for (std::size_t i = 0; i + 1 < cells.size(); ++i) {
            widths.resize(std::max(widths.size(), i + 1), width_min_);
            widths[i] = std::max(widths[i], text_width(cells[i]) + column_gap);
        }
    }
    std::string out;
    for (const auto& cells : rows_) {
        for (std::size_t i = 0; i < cells.size(); ++i) {
            out += cells[i];
            if (i + 1 < cells.size()) {
                out.append(widths[i] - text_width(cells[i]), ' ');
            }
        }
        out += '\n';
    }
    return out;
}

}  // namespace davit::cli
