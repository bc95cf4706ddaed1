#pragma once
/// StdioStream: a standard descriptor on the loop, without a change that others would notice.
///
/// O_NONBLOCK belongs to the open file description, which the shell and other processes share: set
/// there, it makes their reads and writes fail. A pipe or terminal is therefore opened anew through
/// /proc/self/fd; files never block anyway. Only a socket (or a terminal that this user may not
/// open) has to be changed itself, and gets its flags back.
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "reactor/stream.h"

namespace davit::cli {

class StdioStream {
  public:
    /// access: O_RDONLY or O_WRONLY. fd stays open and its owner's.
    static Result<StdioStream> open(int fd, int access);

    StdioStream(StdioStream&& other) noexcept
        : stream_(std::move(other.stream_)),
          fd_(other.fd_),
          flags_before_(std::exchange(other.flags_before_, -1)) {}

    StdioStream& operator=(StdioStream&&) = delete;
    StdioStream(const StdioStream&) = delete;
    StdioStream& operator=(const StdioStream&) = delete;
    ~StdioStream();

    Task<std::size_t> read(std::span<char> buffer) { return stream_->read(buffer); }

    Task<void> write(std::string_view bytes) { return stream_->write(bytes); }

  private:
    StdioStream(std::unique_ptr<FdStream> stream, int fd, int flags_before)
        : stream_(std::move(stream)), fd_(fd), flags_before_(flags_before) {}

    std::unique_ptr<FdStream> stream_;
    int fd_;
    int flags_before_;
};

}  // namespace davit::cli
