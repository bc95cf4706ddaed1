#pragma once
/// LineReader: the lines of a response that is still coming: one JSON document each.
#include <optional>
#include <string>
#include <string_view>

#include "cli/api_client.h"

namespace davit::cli {

class LineReader {
  public:
    explicit LineReader(ApiStream& stream) : stream_(stream) {}

    /// The next line that is not blank, without its end; nothing at the end of the body.
    /// Errors: the stream's; resource_exhausted for a line beyond the bound for JSON.
    Task<std::optional<std::string>> next();

    /// True if another line is there already: a display may be brought up to date later.
    bool has_buffered_line() const { return buffer_.find('\n', begin_) != std::string::npos; }

  private:
    ApiStream& stream_;
    std::string buffer_;
    std::size_t begin_ = 0;
};

}  // namespace davit::cli
