#pragma once
/// The json-file log driver: one JSON object per line,
/// {"log":"text\n","stream":"stdout","time":"..."}.
///
/// The format is Docker's, because log shippers read the files. A line longer than
/// limits::log_line_bytes_max becomes several records, of which only the last one's text ends in
/// "\n".
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/fd.h"

namespace davit {

enum class OutputStream : std::uint8_t { standard_output = 1, standard_error = 2 };

/// How far a log has got: what is in its file, and what is held back until its line is complete.
struct LogPosition {
    std::uint64_t file_bytes = 0;
    std::string partial_output;
    std::string partial_error;
};

/// Turns the bytes of a container's output into records of one file.
class JsonFileWriter {
  public:
    /// Append to path; the file and its directory are made with the first record.
    static JsonFileWriter make(std::string path) { return JsonFileWriter(std::move(path)); }

    /// Make them now.
    Result<void> create();

    /// Take bytes as they arrive: complete lines are written at once, in one write(2).
    /// Errors: of write(2) (resource_exhausted on a full disk); records of this call that were not
    /// written whole are then lost.
    Result<void> append(OutputStream stream, std::string_view bytes);

    /// The same for as much of the beginning of bytes as is one step's work, which is then taken
    /// off them: short lines grow thirtyfold on their way to the file.
    Result<void> append_step(OutputStream stream, std::string_view& bytes);

    /// The stream ended: what it left without a newline is a record too.
    Result<void> end(OutputStream stream);

    /// Where everything taken so far ends.
    LogPosition position() const;

    /// The file's size; 0 if there is none yet.
    std::uint64_t file_bytes() const;

    /// How many bytes at the end of what was taken are in no record yet.
    std::size_t held_bytes(OutputStream stream) const {
        return partial_[stream == OutputStream::standard_output ? 0 : 1].size();
    }

    /// Take back what stands behind that size, if the file is longer. A file that is shorter was
    /// begun anew since, and is taken back altogether.
    Result<void> cut_off(std::uint64_t file_bytes);

  private:
    explicit JsonFileWriter(std::string path) : path_(std::move(path)) {}

    void add_record(OutputStream stream, std::string_view text);
    void add_time();
    Result<void> flush();
    void torn_record_remove(std::size_t torn_bytes);

    std::string& partial(OutputStream stream) {
        return partial_[stream == OutputStream::standard_output ? 0 : 1];
    }

    std::string path_;
    Fd fd_;
    /// Of the last record: times grow from record to record, so that `since` can name each.
    WallTime last_{};
    /// The text of that time up to the second, and which second that is.
    std::string second_text_;
    std::int64_t second_ = -1;
    std::string partial_[2];
    std::string records_;
    /// The file ends in half a record: the next one starts on a new line.
    bool torn_ = false;
};

struct LogRecord {
    OutputStream stream = OutputStream::standard_output;
    std::string text;
    WallTime time;
};

/// Reads records from a position on; sees what is appended after it was opened.
class JsonFileReader {
  public:
    /// Errors: not_found.
    static Result<JsonFileReader> open(const std::string& path);

    /// One step (of one block) towards the position from which exactly the last count records, of
    /// those there were at the first step, follow. Gives: true when it is reached.
    Result<bool> seek_tail_step(std::uint64_t count);

    /// The next complete record; nothing at the end of what is written so far.
    /// Errors: corrupt for a line that is not a record (the next call goes on after it), and for
    /// each piece of one that is longer than any record is.
    Result<std::optional<LogRecord>> next();

    /// Take the file for no longer than that from now on.
    void end_at(std::uint64_t file_bytes) { end_ = file_bytes; }

    /// Bytes of lines that next() has passed, good or bad.
    std::uint64_t bytes_read() const { return offset_ - (buffer_.size() - used_); }

    /// Memory in use for the file's bytes; bounded.
    std::size_t buffer_bytes() const { return buffer_.capacity(); }

  private:
    explicit JsonFileReader(Fd fd) : fd_(std::move(fd)) {}

    struct Tail {
        std::uint64_t position = 0;  // Everything behind it was looked at.
        std::uint64_t newlines = 0;
    };

    Result<std::size_t> fill();

    Fd fd_;
    std::optional<Tail> tail_;
    bool skipping_ = false;     // Inside a line that was too long.
    std::uint64_t offset_ = 0;  // Of the first byte that is not in buffer_ yet.
    std::uint64_t end_ = std::numeric_limits<std::uint64_t>::max();
    std::string buffer_;
    std::size_t used_ = 0;
};

}  // namespace davit
