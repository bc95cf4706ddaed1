#include "tests/support/cancel.h"

#include <dirent.h>
#include <uv.h>

namespace davit::test {

const char* moment_name(CancelMoment moment) {
    switch (moment) {
        case CancelMoment::before:
            return "before it waits";
        case CancelMoment::waiting:
            return "while it waits";
        case CancelMoment::unseen:
            return "when it has happened unseen";
        case CancelMoment::same_turn:
            return "in the turn of the completion";
    }
    return "";
}

void loop_warm_up() {
    const Loop loop;
}

std::size_t descriptors_open() {
    std::size_t count = 0;
    DIR* entries = ::opendir("/proc/self/fd");
    while (::readdir(entries) != nullptr) {
        ++count;
    }
    ::closedir(entries);
    return count;
}

/// libuv runs check handles newest first: ours before the loop's own, which resumes coroutines.
struct TurnHook::State {
    uv_check_t handle{};
    int left = 0;
    std::function<void()> function;
};

TurnHook::TurnHook(int count, std::function<void()> function) : state_(new State) {
    state_->left = count;
    state_->function = std::move(function);
    state_->handle.data = state_;
    uv_check_init(Loop::current().uv(), &state_->handle);
    uv_check_start(&state_->handle, [](uv_check_t* handle) {
        auto* state = static_cast<State*>(handle->data);
        if (state->left > 0 && --state->left == 0) {
            state->function();
        }
    });
}

TurnHook::~TurnHook() {
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
             [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

bool TurnHook::called() const {
    return state_->left == 0;
}

}  // namespace davit::test
