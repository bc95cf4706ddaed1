#include "cli/line_reader.h"

#include "reactor/base/limits.h"

namespace davit::cli {

Task<std::optional<std::string>> LineReader::next() {
    std::size_t searched = begin_;
    for (;;) {
        const std::size_t end = buffer_.find('\n', searched);
        if (end != std::string::npos) {
            std::string_view line(buffer_.data() + begin_, end - begin_);
            begin_ = searched = end + 1;
            if (line.ends_with('\r')) {
                line.remove_suffix(1);
            }
            if (!line.empty()) {
                co_return std::optional<std::string>(line);
            }
            continue;
        }
        buffer_.erase(0, begin_);
        begin_ = 0;
        searched = buffer_.size();
        if (searched > limits::http_json_body_bytes_max) {
            co_return Error(ErrorKind::resource_exhausted, "the daemon sent a line without an end");
        }
        buffer_.resize(searched + limits::stream_read_bytes);
        Result<std::size_t> got = co_await stream_.read(
            std::span<char>(buffer_.data() + searched, limits::stream_read_bytes));
        buffer_.resize(searched + (got ? *got : 0));
        if (!got) {
            co_return std::move(got).error();
        }
        if (*got == 0) {
            // The last line may lack its end.
            std::string rest = std::move(buffer_);
            buffer_.clear();
            if (rest.empty()) {
                co_return std::optional<std::string>{};
            }
            co_return std::optional<std::string>(std::move(rest));
        }
    }
}

}  // namespace davit::cli
