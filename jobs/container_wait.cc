#include "jobs/container_jobs.h"

namespace davit {

bool ContainerWaiter::fulfilled() const {
    switch (condition_) {
        case WaitCondition::not_running:
            return !container_->is_up();
        case WaitCondition::next_exit:
            // A container that is removed before it ever starts again will not exit any more.
            return container_->exits != exits_seen_ || container_->removed;
        case WaitCondition::removed:
            // A removal that failed is not tried again by itself: waiting on would be for ever.
            return container_->removed || container_->record.state.status == ContainerState::dead;
    }
    return true;
}

Task<ContainerWaiter::Outcome> ContainerWaiter::wait() {
    while (!fulfilled()) {
        CO_CHECK(co_await container_->wait_changed());
    }
    Outcome outcome;
    outcome.exit_code = container_->record.state.exit_code;
    if (condition_ == WaitCondition::removed && !container_->removed) {
        outcome.error = container_->removal_error.empty() ? "the container could not be removed"
                                                          : container_->removal_error;
    }
    const ContainerStateRecord& state = container_->record.state;
    if (condition_ == WaitCondition::not_running && !state.cause.failed_phase.empty()) {
        outcome.error = state.error;  // It never ran: the exit code alone does not say so.
    }
    co_return std::move(outcome);
}

}  // namespace davit
