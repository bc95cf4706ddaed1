#pragma once
/// LogFiles: a log's file and those that it was rotated into, read as one.
///
/// All are opened at once, so that what is rotated away meanwhile is still read. A reader at the
/// end goes on with the file that has taken the place of its own; one that is so slow that files in
/// between have gone goes on with the oldest that is left.
#include <deque>
#include <optional>
#include <string>

#include "drivers/log/json_file.h"

namespace davit {

class LogFiles {
  public:
    /// Takes:  path: of the file that is written to. Errors: not_found (there is none).
    static Result<LogFiles> open(std::string path);

    /// As JsonFileReader::seek_tail_step(), over all files.
    Result<bool> seek_tail_step(std::uint64_t count);

    /// As JsonFileReader::next().
    Result<const LogRecord*> next();

    /// Take the log to end there. A position in a file that has gone is before everything.
    void end_at(const LogPosition& position);

    void attributes_wanted();

    /// Bytes that next() has passed.
    std::uint64_t bytes_read() const { return bytes_passed_ + files_.front().bytes_read(); }

  private:
    explicit LogFiles(std::string path) : path_(std::move(path)) {}

    Result<void> newer_open();
    Result<bool> next_file();

    std::string path_;
    /// Oldest first; never empty once it is open.
    std::deque<JsonFileReader> files_;
    bool attributes_wanted_ = false;
    bool ended_ = false;              // By end_at(): no newer file is looked for.
    std::uint64_t bytes_passed_ = 0;  // Of files that are done.
    /// While the tail is sought: which file is looked at, and how many records are still to find.
    std::optional<std::size_t> tail_file_;
    std::uint64_t tail_left_ = 0;
};

}  // namespace davit
