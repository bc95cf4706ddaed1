#include "jobs/event_bus.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "reactor/base/limits.h"

namespace davit {

namespace {

std::size_t size_of(const Event& event) {
    std::size_t bytes = sizeof(Event) + event.actor_id.size();
    for (const auto& [key, value] : event.attributes) {
        bytes += sizeof(event.attributes.front()) + key.size() + value.size();
    }
    return bytes;
}

}  // namespace

void EventBus::publish(std::string type,
                       std::string action,
                       std::string actor_id,
                       std::vector<std::pair<std::string, std::string>> attributes) {
    std::map<std::string, std::string> last;
    for (auto& [key, value] : attributes) {
        last.insert_or_assign(std::move(key), std::move(value));
    }
    attributes.assign(last.begin(), last.end());
    events_.push_back(Event{.sequence = next_++,
                            .type = std::move(type),
                            .action = std::move(action),
                            .actor_id = std::move(actor_id),
                            .attributes = std::move(attributes),
                            .time = wall_now()});
    bytes_ += size_of(events_.back());
    while (events_.size() > limits::events_kept_max ||
           (bytes_ > limits::events_kept_bytes_max && events_.size() > 1)) {
        bytes_ -= size_of(events_.front());
        events_.pop_front();
    }
    readers_.wake_all();
}

std::uint64_t EventBus::sequence_since(WallTime time) const {
    const auto first = std::ranges::lower_bound(events_, time, {}, &Event::time);
    return first == events_.end() ? next_ : first->sequence;
}

Task<void> EventBus::reach(std::uint64_t sequence) {
    while (sequence >= next_) {
        CO_CHECK(co_await readers_.wait());
    }
    co_return ok;
}

Result<const Event*> EventBus::find(std::uint64_t sequence) const {
    assert(sequence < next_);
    const std::uint64_t first = events_.front().sequence;
    if (sequence < first) {
        return Error(ErrorKind::resource_exhausted,
                     std::to_string(first - sequence) + " events were dropped: reader too slow");
    }
    return &events_[sequence - first];
}

}  // namespace davit
