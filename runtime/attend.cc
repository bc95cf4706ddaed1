#include "runtime/attend.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "runtime/launching.h"

namespace davit {

namespace {

sigset_t signals_passed() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int number : {SIGCHLD, SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPIPE}) {
        ::sigdelset(&set, number);
    }
    return set;
}

/// Our own terminal without line editing, for as long as it lives.
class RawTerminal {
  public:
    RawTerminal() {
        termios now{};
        if (::isatty(STDIN_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &now) != 0) {
            return;
        }
        before_ = now;
        ::cfmakeraw(&now);
        ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
    }

    ~RawTerminal() {
        if (before_) {
            ::tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
        }
    }

    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

  private:
    std::optional<termios> before_;
};

/// A terminal's master, between which and our standard streams everything is passed on.
class ConsoleRelay {
  public:
    explicit ConsoleRelay(Fd console) : console_(std::move(console)) {
        if (console_) {
            raw_.emplace();
            ::fcntl(console_.get(), F_SETFL, O_NONBLOCK);
            size_copy();
        }
    }

    void size_copy() const {
        winsize size{};
        if (console_ && ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
            ::ioctl(console_.get(), TIOCSWINSZ, &size);
        }
    }

    /// What to wait for; a descriptor of -1 is left out by poll(2).
    pollfd input() const {
        const bool wanted = console_ && !input_ended_ && typed_.empty();
        return {.fd = wanted ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0};
    }

    pollfd output() const {
        const int events = POLLIN | (typed_.empty() ? 0 : POLLOUT);
        return {.fd = console_.get(), .events = static_cast<short>(events), .revents = 0};
    }

    void input_take() {
        std::array<char, buffer_bytes> buffer{};
        const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (got > 0) {
            typed_.assign(buffer.data(), static_cast<std::size_t>(got));
            typed_give();
        } else {
            input_ended_ = got == 0 || errno != EINTR;
        }
    }

    void typed_give() {
        const ssize_t put = ::write(console_.get(), typed_.data(), typed_.size());
        if (put > 0) {
            typed_.erase(0, static_cast<std::size_t>(put));
        }
    }

    /// Gives: whether more may come.
    bool output_take() {
        std::array<char, buffer_bytes> buffer{};
        const ssize_t got = ::read(console_.get(), buffer.data(), buffer.size());
        if (got > 0) {
            const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
            return static_cast<bool>(write_all(STDOUT_FILENO, text));
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        console_.reset();  // EIO: nobody has the other side open any more.
        return false;
    }

    void drain() {
        while (console_ && output_take()) {
        }
    }

  private:
    static constexpr std::size_t buffer_bytes = 16384;

    Fd console_;
    std::optional<RawTerminal> raw_;
    std::string typed_;
    bool input_ended_ = false;
};

void signals_pass(int signals, const PidRef& process, const ConsoleRelay& relay) {
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) {
        return;
    }
    if (info.ssi_signo == SIGWINCH) {
        relay.size_copy();
    } else {
        static_cast<void>(process.signal(static_cast<int>(info.ssi_signo)));
    }
}

}  // namespace

Result<void> attend_prepare() {
    const sigset_t passed = signals_passed();
    if (::sigprocmask(SIG_BLOCK, &passed, nullptr) != 0) {
        return Error::from_errno(errno, "sigprocmask");
    }
    return ok;
}

Result<ExitStatus> attend(const PidRef& process, Fd console) {
    const sigset_t passed = signals_passed();
    const Fd signals(::signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) {
        return Error::from_errno(errno, "signalfd");
    }
    ConsoleRelay relay(std::move(console));
    for (;;) {
        std::array<pollfd, 4> events{pollfd{.fd = process.pidfd(), .events = POLLIN, .revents = 0},
                                     pollfd{.fd = signals.get(), .events = POLLIN, .revents = 0},
                                     relay.input(),
                                     relay.output()};
        if (::poll(events.data(), events.size(), -1) < 0 && errno != EINTR) {
            return Error::from_errno(errno, "poll");
        }
        if (events[1].revents != 0) {
            signals_pass(signals.get(), process, relay);
        }
        if (events[2].revents != 0) {
            relay.input_take();
        }
        if ((events[3].revents & POLLOUT) != 0) {
            relay.typed_give();
        }
        if ((events[3].revents & ~POLLOUT) != 0) {
            relay.output_take();
        }
        if (events[0].revents != 0) {
            relay.drain();
            return process_wait(process);
        }
    }
}

}  // namespace davit
