#pragma once
/// EventJournal: the events that happened lately, in two files that outlive the daemon, so that a
/// reader who asks for them `since` a time loses none by its restart.
///
/// Nothing is synced: they belong to this boot, as the run directory does. An event is one line of
/// JSON and one write(2); a full file is renamed to events.1, whose events are forgotten then.
#include <string>
#include <vector>

#include "jobs/event_bus.h"
#include "reactor/base/fd.h"

namespace davit {

class EventJournal {
  public:
    /// A file is full with so many bytes: thousands of events, read in some ten milliseconds.
    static constexpr std::size_t file_bytes_max = std::size_t{2} * 1024 * 1024;

    /// Takes:  directory: exists. Gives: what is in the files, oldest first, in `events`; a line
    ///         that a daemon's death cut off is not.
    /// Errors: the file system's.
    /// Blocks: some milliseconds for each megabyte.
    static Result<EventJournal> open(std::string directory, std::vector<Event>& events);

    /// Errors: the file system's; the event is in no file then.
    Result<void> append(const Event& event);

  private:
    EventJournal(std::string directory, Fd file, std::size_t bytes)
        : directory_(std::move(directory)), file_(std::move(file)), bytes_(bytes) {}

    Result<void> rotate();

    std::string directory_;
    Fd file_;
    std::size_t bytes_;
};

}  // namespace davit
