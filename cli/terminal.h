#pragma once
/// The user's terminal: its size, and raw mode that is given back however the process ends.
#include <termios.h>

#include <optional>
#include <utility>

#include "reactor/base/result.h"

namespace davit::cli {

struct TerminalSize {
    unsigned rows = 0;
    unsigned columns = 0;
};

bool is_terminal(int fd);

/// Nothing if fd is no terminal, or one that does not know.
std::optional<TerminalSize> terminal_size(int fd);

/// While it lives, every key goes to the container: no echo, no lines, no signals from keys. The
/// destructor restores the terminal, and so does a crash (SIGABRT, SIGSEGV, ...). One at a time.
class RawMode {
  public:
    /// Follows: cfmakeraw(3). Errors: from_errno of tcsetattr(3).
    static Result<RawMode> enter(int fd);

    RawMode(RawMode&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    RawMode& operator=(RawMode&& other) noexcept;
    RawMode(const RawMode&) = delete;
    RawMode& operator=(const RawMode&) = delete;

    ~RawMode() { restore(); }

    /// Idempotent.
    void restore();

  private:
    explicit RawMode(int fd) : fd_(fd) {}

    int fd_;
};

}  // namespace davit::cli
