#pragma once
/// Signals as events of the loop.
#include <memory>

#include "reactor/async_event.h"

namespace davit {

/// Catches one signal while it lives. Signals that arrive between two waits are counted, not lost.
class SignalSource {
  public:
    static Result<SignalSource> make(int number);

    SignalSource(SignalSource&&) noexcept = default;
    SignalSource& operator=(SignalSource&&) noexcept = default;

    /// Errors: cancelled.
    Task<void> next();

  private:
    struct State;

    struct StateClose {
        void operator()(State* state) const;
    };

    explicit SignalSource(State* state) : state_(state) {}

    std::unique_ptr<State, StateClose> state_;
};

}  // namespace davit
