#pragma once
/// EventBus: what happened, in order, with a number each. Follows: Docker Engine API, operation
/// SystemEvents.
///
/// Readers hold a position, not a queue: a slow one costs nothing and loses nothing until it lags
/// by limits::events_kept_max events or events_kept_bytes_max, which it is then told.
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/async_event.h"
#include "reactor/base/clock.h"

namespace davit {

struct Event {
    std::uint64_t sequence = 0;
    std::string type;      // "container", "image", "network", ...
    std::string action;    // "create", "start", "die", ...
    std::string actor_id;  // A container's id, an image's familiar reference or id.
    /// Sorted, each key once.
    std::vector<std::pair<std::string, std::string>> attributes;
    WallTime time;

    /// Empty if there is none.
    std::string_view attribute(std::string_view key) const {
        for (const auto& [name, value] : attributes) {
            if (name == key) {
                return value;
            }
        }
        return {};
    }
};

class EventJournal;

class EventBus {
  public:
    EventBus();
    ~EventBus();

    /// Keep events in files of a directory from now on, and those that an earlier daemon left there
    /// are this bus's. Before anything is published. Errors: the file system's.
    Result<void> keep_in(std::string directory);

    /// Append; wakes every reader that waits. Of attributes with the same key the last one counts:
    /// a label called "name" does not hide the actor's name.
    void publish(std::string type,
                 std::string action,
                 std::string actor_id,
                 std::vector<std::pair<std::string, std::string>> attributes);

    /// The sequence number that the next event gets.
    std::uint64_t next_sequence() const { return next_; }

    /// The number of the first kept event at or after a time.
    std::uint64_t sequence_since(WallTime time) const;

    /// Wait until there is an event with this number. Errors: cancelled.
    Task<void> reach(std::uint64_t sequence);

    /// An event that has happened; valid until the next await.
    /// Errors: resource_exhausted if it was dropped already.
    Result<const Event*> find(std::uint64_t sequence) const;

  private:
    void append(Event event);

    std::unique_ptr<EventJournal> journal_;  // Null: events end with the daemon.
    std::deque<Event> events_;
    std::size_t bytes_ = 0;
    std::uint64_t next_ = 1;
    WaitList readers_;
};

}  // namespace davit
