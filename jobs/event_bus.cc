#include "jobs/event_bus.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "jobs/event_journal.h"
#include "reactor/base/limits.h"
#include "reactor/base/log.h"

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

EventBus::EventBus() = default;
EventBus::~EventBus() = default;

Result<void> EventBus::keep_in(std::string directory) {
    assert(events_.empty());
    std::vector<Event> earlier;
    TRY(EventJournal journal, EventJournal::open(std::move(directory), earlier));
    for (Event& event : earlier) {
        append(std::move(event));
    }
    journal_ = std::make_unique<EventJournal>(std::move(journal));
    return ok;
}

void EventBus::append(Event event) {
    event.sequence = next_++;
    events_.push_back(std::move(event));
    bytes_ += size_of(events_.back());
    while (events_.size() > limits::events_kept_max ||
           (bytes_ > limits::events_kept_bytes_max && events_.size() > 1)) {
        bytes_ -= size_of(events_.front());
        events_.pop_front();
    }
}

void EventBus::publish(std::string type,
                       std::string action,
                       std::string actor_id,
                       std::vector<std::pair<std::string, std::string>> attributes) {
    std::map<std::string, std::string> last;
    for (auto& [key, value] : attributes) {
        last.insert_or_assign(std::move(key), std::move(value));
    }
    attributes.assign(last.begin(), last.end());
    append(Event{.type = std::move(type),
                 .action = std::move(action),
                 .actor_id = std::move(actor_id),
                 .attributes = std::move(attributes),
                 .time = wall_now()});
    if (journal_) {
        if (const Result<void> kept = journal_->append(events_.back()); !kept) {
            LOG_WARN("events: {}; they will not outlive this daemon", kept.error().message());
            journal_.reset();
        }
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
