#include "cli/signal_stream.h"

#include <string.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <string>

namespace davit::cli {

Result<std::unique_ptr<SignalStream>> SignalStream::make(const sigset_t& set) {
    sigset_t before;
    ::sigemptyset(&before);
    ::sigprocmask(SIG_BLOCK, &set, &before);
    std::unique_ptr<SignalStream> stream(new SignalStream(before));
    Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd) {
        return Error::from_errno(errno, "signalfd");
    }
    TRY(stream->stream_, FdStream::make(std::move(fd)));
    return stream;
}

SignalStream::~SignalStream() {
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

Task<int> SignalStream::next() {
    signalfd_siginfo info{};
    CO_TRY(const std::size_t got,
           co_await stream_->read(std::span<char>(reinterpret_cast<char*>(&info), sizeof(info))));
    assert(got == sizeof(info) && "a signalfd gives whole records");
    co_return static_cast<int>(info.ssi_signo);
}

void SignalStream::die_of(int number) {
    ::signal(number, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    ::raise(number);
}

sigset_t signals_to_forward() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int number : {SIGKILL,
                             SIGSTOP,
                             SIGCHLD,
                             SIGPIPE,
                             SIGURG,
                             SIGTTIN,
                             SIGTTOU,
                             SIGSEGV,
                             SIGBUS,
                             SIGFPE,
                             SIGILL,
                             SIGTRAP}) {
        ::sigdelset(&set, number);
    }
    return set;
}

std::string signal_name(int number) {
    const char* abbreviation = ::sigabbrev_np(number);
    return abbreviation == nullptr ? std::to_string(number) : std::string("SIG") + abbreviation;
}

}  // namespace davit::cli
