#include "cli/frame_reader.h"

#include <algorithm>

namespace davit::cli {

namespace {

constexpr std::uint32_t error_bytes_max = 64 * 1024;

}  // namespace

Result<void> FrameReader::header_done() {
    header_bytes_ = 0;
    if (header_[0] > 4 || header_[1] != 0 || header_[2] != 0 || header_[3] != 0) {
        return Error(ErrorKind::corrupt, "the daemon's stream is not made of frames");
    }
    payload_left_ = static_cast<std::uint32_t>(header_[4]) << 24 |
                    static_cast<std::uint32_t>(header_[5]) << 16 |
                    static_cast<std::uint32_t>(header_[6]) << 8 | header_[7];
    if (header_[0] == static_cast<unsigned char>(Stream::error) &&
        payload_left_ > error_bytes_max) {
        return Error(ErrorKind::corrupt, "the daemon's stream has an error frame that is too long");
    }
    return ok;
}

Result<std::optional<FrameReader::Piece>> FrameReader::next(std::string_view& input) {
    while (!input.empty()) {
        if (payload_left_ == 0) {
            const std::size_t count = std::min(header_.size() - header_bytes_, input.size());
            std::copy_n(input.data(), count, header_.begin() + header_bytes_);
            header_bytes_ += count;
            input.remove_prefix(count);
            if (header_bytes_ == header_.size()) {
                TRY_VOID(header_done());
            }
            continue;
        }
        const std::size_t count = std::min<std::size_t>(payload_left_, input.size());
        const std::string_view bytes = input.substr(0, count);
        input.remove_prefix(count);
        payload_left_ -= static_cast<std::uint32_t>(count);
        const auto stream = static_cast<Stream>(header_[0]);
        if (stream != Stream::error) {
            return std::optional<Piece>(Piece{stream, bytes});
        }
        error_text_ += bytes;
        if (payload_left_ == 0) {
            return Error(ErrorKind::internal, "error from daemon in stream: " + error_text_);
        }
    }
    return std::optional<Piece>{};
}

}  // namespace davit::cli
