#include "jobs/container_jobs.h"

namespace davit {

bool ContainerWaiter::fulfilled() const {
    switch (condition_) {
        case WaitCondition::not_running:
            return container_->run == nullptr;
        case WaitCondition::next_exit:
            // A container that is removed before it ever starts again will not exit any more.
            return container_->exits != exits_seen_ || container_->removed;
        case WaitCondition::removed:
            // A removal that failed is not tried again by itself: waiting on would be for ever.
            return container_->removed || container_->record.state.status == ContainerState::dead;
    }
    return true;
}

Task<int> ContainerWaiter::wait() {
    while (!fulfilled()) {
        CO_CHECK(co_await container_->wait_changed());
    }
    co_return container_->record.state.exit_code;
}

}  // namespace davit
