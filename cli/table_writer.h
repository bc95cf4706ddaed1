#pragma once
/// TableWriter: rows of cells in aligned columns, as docker's tables: columns have a least width
/// and are three apart, and the last one is not padded.
#include <string>
#include <string_view>
#include <vector>

namespace davit::cli {

class TableWriter {
  public:
    explicit TableWriter(std::size_t column_width_min = 10) : width_min_(column_width_min) {}

    void row(std::vector<std::string> cells);

    /// A row whose cells are separated by tabs.
    void row_of_tabs(std::string_view text);

    /// Every row so far, each ended by a newline.
    std::string text() const;

  private:
    std::size_t width_min_;
    std::vector<std::vector<std::string>> rows_;
};

/// Code points of UTF-8 text: how wide it is, for what names and commands usually have.
std::size_t text_width(std::string_view text);

/// Text shortened to so many code points, the last of which is "…" if something was cut.
std::string text_ellipsis(std::string_view text, std::size_t width);

}  // namespace davit::cli
