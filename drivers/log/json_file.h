#pragma once
/// The json-file log driver: one JSON object per line,
/// {"log":"text\n","stream":"stdout","time":"..."}.
///
/// The format is Docker's, because log shippers read the files. A line longer than
/// limits::log_line_bytes_max becomes several records, of which only the last one's text ends in
/// "\n".
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/base/fd.h"

namespace davit {

enum class OutputStream : std::uint8_t { standard_output = 1, standard_error = 2 };

/// Turns the bytes of a container's output into records of one file.
class JsonFileWriter {
  public:
    /// Append to path; the file and its directory are made with the first record.
    static JsonFileWriter make(std::string path) { return JsonFileWriter(std::move(path)); }

    /// Make them now.
    Result<void> create();

    /// Take bytes as they arrive: complete lines are written at once, in one write(2).
    /// Errors: of write(2) (resource_exhausted on a full disk); the records of this call are then
    /// lost.
    Result<void> append(OutputStream stream, std::string_view bytes);

    /// The stream ended: what it left without a newline is a record too.
    Result<void> end(OutputStream stream);

  private:
    explicit JsonFileWriter(std::string path) : path_(std::move(path)) {}

    void add_record(OutputStream stream, std::string_view text);
    Result<void> flush();

    std::string& partial(OutputStream stream) {
        return partial_[stream == OutputStream::standard_output ? 0 : 1];
    }

    std::string path_;
    Fd fd_;
    /// Of the last record: times grow from record to record, so that `since` can name each.
    WallTime last_{};
    std::string partial_[2];
    std::string records_;
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

    /// Position so that exactly the last count records (of those there are now) follow.
    Result<void> seek_tail(std::uint64_t count);

    /// The next complete record; nothing at the end of what is written so far.
    /// Errors: corrupt for a line that is not a record (the next call goes on after it).
    Result<std::optional<LogRecord>> next();

  private:
    explicit JsonFileReader(Fd fd) : fd_(std::move(fd)) {}

    Fd fd_;
    std::uint64_t offset_ = 0;  // Of the first byte that is not in buffer_ yet.
    std::string buffer_;
    std::size_t used_ = 0;
};

}  // namespace davit
