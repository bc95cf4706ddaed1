#pragma once
/// SignalStream: a set of signals as numbers to read, in order of arrival, through one signalfd.
///
/// reactor/signal.h costs several system calls per signal; a command that forwards every signal
/// there is wants them all for the price of three. The signals are blocked while it lives, so one
/// that comes before anybody reads is kept, not lost. Follows: signalfd(2).
#include <signal.h>

#include <memory>

#include "reactor/stream.h"

namespace davit::cli {

class SignalStream {
  public:
    static Result<std::unique_ptr<SignalStream>> make(const sigset_t& set);

    SignalStream(const SignalStream&) = delete;
    SignalStream& operator=(const SignalStream&) = delete;
    ~SignalStream();

    /// Errors: cancelled.
    Task<int> next();

    /// End this process by a signal of the set, as if it had never been caught.
    void die_of(int number);

  private:
    explicit SignalStream(const sigset_t& before) : before_(before) {}

    sigset_t before_;
    std::unique_ptr<FdStream> stream_;
};

/// What a client forwards to its container: everything but signals about itself (a child, a pipe, a
/// fault, its terminal in the background).
sigset_t signals_to_forward();

/// "SIGTERM"; the number for signals without a name.
std::string signal_name(int number);

}  // namespace davit::cli
