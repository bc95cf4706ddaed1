#pragma once
/// FrameReader: takes apart the stream in which a container's stdout and stderr come together.
///
/// Follows: API.md 2.6: 8 bytes of header (stream, three zeros, length in big-endian), payload.
/// Frames may be cut anywhere; payload is handed out as views of the input, never copied.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit::cli {

class FrameReader {
  public:
    /// end: of davit's own run alone, how it ended.
    enum class Stream : std::uint8_t { in = 0, out = 1, err = 2, error = 3, end = 4 };

    struct Piece {
        Stream stream;
        std::string_view bytes;
    };

    /// Take the next piece of payload off the front of input; nothing when input is used up.
    /// Errors: corrupt for a header that is none; internal with the text of an error frame.
    Result<std::optional<Piece>> next(std::string_view& input);

    /// True between frames: an end of the stream here is a proper one.
    bool at_boundary() const { return header_bytes_ == 0 && payload_left_ == 0; }

  private:
    Result<void> header_done();

    std::array<unsigned char, 8> header_{};
    std::size_t header_bytes_ = 0;
    std::uint32_t payload_left_ = 0;
    std::string error_text_;
};

}  // namespace davit::cli
