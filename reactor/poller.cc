#include "reactor/poller.h"

#include <fcntl.h>
#include <uv.h>

#include <array>

namespace davit {

/// In a heap block of its own: libuv owns the handle's memory until its close callback.
struct Poller::State {
    uv_poll_t handle{};
    std::array<Awaiter*, 3> waiters{};
    int events = 0;

    /// epoll reports EPOLLHUP whatever was asked for; libuv passes it on as the events that were.
    /// Of those, priority data is the one that no stream of ours ever has.
    static constexpr std::array<int, 3> direction_events{UV_READABLE, UV_WRITABLE, UV_PRIORITIZED};

    int wanted() const {
        int mask = 0;
        for (std::size_t i = 0; i < waiters.size(); ++i) {
            mask |= waiters[i] != nullptr ? direction_events[i] : 0;
        }
        return mask;
    }

    void arm() {
        const int needed = wanted();
        if ((events & needed) != needed) {
            set(events | needed);
        }
    }

    void set(int new_events) {
        events = new_events;
        [[maybe_unused]] const int result =
            events == 0 ? uv_poll_stop(&handle) : uv_poll_start(&handle, events, on_event);
        assert(result == 0);
    }

    void wake(Direction direction) {
        auto& slot = waiters[static_cast<unsigned>(direction)];
        if (slot != nullptr) {
            std::exchange(slot, nullptr)->complete();
        }
    }

    static void on_event(uv_poll_t* handle, int status, int ready) {
        auto* state = static_cast<State*>(handle->data);
        const int before = state->wanted();
        if (status < 0) {
            ready = UV_READABLE | UV_WRITABLE | UV_PRIORITIZED;  // The next call names the error.
            state->events = 0;                                   // libuv has stopped the handle.
        }
        if ((ready & (UV_READABLE | UV_DISCONNECT)) != 0) {
            state->wake(Direction::read);
        }
        if ((ready & UV_WRITABLE) != 0) {
            state->wake(Direction::write);
        }
        if ((ready & UV_PRIORITIZED) != 0) {
            state->wake(Direction::hang_up);
        }
        // Ready, but nobody waited for it: drop that interest, else epoll would report it for ever.
        const int unwanted = ready & state->events & ~before;
        if (unwanted != 0) {
            state->set(state->events & ~unwanted);
        }
    }
};

Result<Poller> Poller::make(int fd) {
    auto state = std::make_unique<State>();
    if (const int result = uv_poll_init(Loop::current().uv(), &state->handle, fd); result != 0) {
        return Error::from_errno(-result, "poll", "fd " + std::to_string(fd));
    }
    state->handle.data = state.get();
    return Poller(state.release());
}

void Poller::StateClose::operator()(State* state) const {
    assert(state->wanted() == 0 && "a waiter outlives its poller");
    uv_close(reinterpret_cast<uv_handle_t*>(&state->handle),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Poller::Awaiter::start() {
    auto& slot = state_->waiters[static_cast<unsigned>(direction_)];
    assert(slot == nullptr && "two waiters for one direction");
    slot = this;
    state_->arm();
}

void Poller::Awaiter::on_cancel() noexcept {
    state_->waiters[static_cast<unsigned>(direction_)] = nullptr;
    complete();
}

}  // namespace davit
