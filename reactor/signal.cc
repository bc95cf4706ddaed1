#include "reactor/signal.h"

#include <uv.h>

namespace davit {

struct SignalSource::State {
    uv_signal_t handle{};
    std::size_t pending = 0;
    WaitList waiters;
};

Result<SignalSource> SignalSource::make(int number) {
    auto state = std::make_unique<State>();
    if (const int result = uv_signal_init(Loop::current().uv(), &state->handle); result != 0) {
        return Error::from_errno(-result, "signal", std::to_string(number));
    }
    state->handle.data = state.get();
    SignalSource source(state.release());
    const int started = uv_signal_start(
        &source.state_->handle,
        [](uv_signal_t* handle, int) {
            auto* caught = static_cast<State*>(handle->data);
            ++caught->pending;
            caught->waiters.wake_one();
        },
        number);
    if (started != 0) {
        return Error::from_errno(-started, "signal", std::to_string(number));
    }
    return source;
}

void SignalSource::StateClose::operator()(State* state) const {
    uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

Task<void> SignalSource::next() {
    while (state_->pending == 0) {
        CO_CHECK(co_await state_->waiters.wait());
    }
    --state_->pending;
    co_return ok;
}

}  // namespace davit
