#include "cli/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace davit::cli {

namespace {

/// What a crash handler needs; it may only read memory that is always there.
int raw_fd = -1;
termios cooked{};

constexpr int crash_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};

/// SA_RESETHAND: the signal that is raised again has its default effect.
void on_crash(int number) {
    ::tcsetattr(raw_fd, TCSANOW, &cooked);
    ::raise(number);
}

void crash_handlers_set(void (*handler)(int)) {
    struct sigaction action {};

    action.sa_handler = handler;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (const int number : crash_signals) {
        struct sigaction before {};

        // Leave alone what somebody else catches (a sanitizer, a debugger).
        ::sigaction(number, nullptr, &before);
        if (before.sa_handler == SIG_DFL || before.sa_handler == on_crash) {
            ::sigaction(number, &action, nullptr);
        }
    }
}

}  // namespace

bool is_terminal(int fd) {
    return ::isatty(fd) == 1;
}

std::optional<TerminalSize> terminal_size(int fd) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
        return std::nullopt;
    }
    return TerminalSize{size.ws_row, size.ws_col};
}

Result<RawMode> RawMode::enter(int fd) {
    if (::tcgetattr(fd, &cooked) != 0) {
        return Error::from_errno(errno, "tcgetattr");
    }
    termios raw = cooked;
    ::cfmakeraw(&raw);
    raw_fd = fd;
    crash_handlers_set(on_crash);
    RawMode mode(fd);
    if (::tcsetattr(fd, TCSANOW, &raw) != 0) {
        return Error::from_errno(errno, "tcsetattr");
    }
    return mode;
}

RawMode& RawMode::operator=(RawMode&& other) noexcept {
    if (this != &other) {
        restore();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

void RawMode::restore() {
    if (fd_ >= 0) {
        ::tcsetattr(std::exchange(fd_, -1), TCSANOW, &cooked);
        crash_handlers_set(SIG_DFL);
        raw_fd = -1;
    }
}

}  // namespace davit::cli
