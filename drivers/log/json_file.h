#pragma once
/// The json-file log driver: one JSON object per line,
/// {"log":"text\n","stream":"stdout","time":"..."}.
///
/// The format is Docker's, because log shippers read the files. A line longer than
/// limits::log_line_bytes_max becomes several records, of which only the last one's text ends in
/// "\n".
///
/// A file that has grown to its bound is renamed to FILE.1, that to FILE.2, and so on; the oldest
/// goes. Where it is wanted FILE.1 becomes FILE.1.gz by and by (drivers/log/log_packer.h).
/// drivers/log/log_files.h reads them as one.
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/log/datagram_sink.h"
#include "drivers/log/log_gzip.h"
#include "drivers/log/log_packer.h"
#include "drivers/log/log_record.h"
#include "drivers/log/plain_record.h"
#include "reactor/base/clock.h"
#include "reactor/base/fd.h"

namespace davit {

/// How much of a log is kept.
struct LogRotation {
    /// A file that has this many bytes gets no more; 0: it may grow for ever.
    std::uint64_t bytes_max = 0;
    /// The one that is written to, and older ones.
    unsigned files_max = 1;
    /// The older ones in gzip.
    bool compress = false;

    bool operator==(const LogRotation&) const = default;
};

/// How far a log has got: what is in its file, and what is held back until its line is complete.
struct LogPosition {
    /// The file; null if there is none yet.
    std::shared_ptr<const Fd> file;
    std::uint64_t file_bytes = 0;
    std::string partial_output;
    std::string partial_error;
};

/// A point in a log, which a file keeps when it is rotated; zeros: there is no file.
struct LogPlace {
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;

    bool operator==(const LogPlace&) const = default;
};

/// Turns the bytes of a container's output into records of one file.
class JsonFileWriter {
  public:
    /// Append to path; the file and its directory are made with the first record.
    static JsonFileWriter make(std::string path,
                               LogRotation rotation = {},
                               const LogAttributes& attributes = {});

    /// Give every record to a service of the host as well.
    void also_to(std::shared_ptr<DatagramSink> sink) { sink_ = std::move(sink); }

    /// How many records that service did not take.
    std::uint64_t dropped() const { return sink_ ? sink_->dropped() : 0; }

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

    /// The file that was rotated away last, for the caller to close where that may take a while;
    /// null if there is none.
    std::shared_ptr<const Fd> retired_take() { return std::exchange(retired_, nullptr); }

    /// Whether the log was rotated since this was last called.
    bool rotated_take() { return std::exchange(rotated_, false); }

    /// Who compresses what is rotated away; nothing if that is not wanted.
    std::optional<LogPacker> packer() const;

    /// The file that is written to.
    LogPlace place() const;

    /// How many bytes at the end of what was taken are in no record yet.
    std::size_t held_bytes(OutputStream stream) const {
        return partial_[stream == OutputStream::standard_output ? 0 : 1].size();
    }

    /// Take back what was written behind a place, also to the files that it was rotated for. If the
    /// file itself is no longer there, nothing is. Before the first record.
    Result<void> cut_off(const LogPlace& place) const;

  private:
    JsonFileWriter(std::string path, LogRotation rotation)
        : path_(std::move(path)), rotation_(rotation) {}

    void add_record(OutputStream stream, std::string_view text);
    void add_time();
    Result<void> flush();
    Result<void> rotate();
    Result<void> retire(const std::string& name);
    std::string name(unsigned number) const;
    std::string_view part_take(std::string_view& left) const;
    Result<void> part_write(std::string_view part);
    void torn_record_remove(std::size_t torn_bytes);

    std::string& partial(OutputStream stream) {
        return partial_[stream == OutputStream::standard_output ? 0 : 1];
    }

    std::string path_;
    LogRotation rotation_;
    std::shared_ptr<const Fd> fd_;
    std::uint64_t bytes_ = 0;  // Of the file.
    std::shared_ptr<const Fd> retired_;
    bool rotated_ = false;
    std::shared_ptr<DatagramSink> sink_;
    /// What stands between stream and time: ",\"attrs\":{...}", or nothing.
    std::string attributes_;
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

/// Reads records from a position on; sees what is appended after it was opened.
class JsonFileReader {
  public:
    /// One that ends in ".gz" was compressed. Errors: not_found; corrupt.
    static Result<JsonFileReader> open(const std::string& path);

    /// One step (of one block) towards the position from which exactly the last count records, of
    /// those there were at the first step, follow. Gives: true when it is reached.
    Result<bool> seek_tail_step(std::uint64_t count);

    /// How many records there are behind the position that was reached, or to its end if that is
    /// none of the file's beginning.
    std::uint64_t tail_records() const { return tail_ ? tail_->newlines : 0; }

    /// Read the records' attributes, too.
    void attributes_wanted() { attributes_wanted_ = true; }

    /// Whether it is the file of this descriptor, or what that was compressed to.
    bool is(int fd) const;

    int fd() const { return fd_.get(); }

    /// The next complete record, until the next call; null at the end of what is written so far.
    /// Errors: corrupt for a line that is not a record (the next call goes on after it), and for
    /// each piece of one that is longer than any record is.
    Result<const LogRecord*> next();

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
        /// Of a compressed file, once all are counted: how many are still to be passed.
        std::optional<std::uint64_t> left = {};
    };

    Result<bool> seek_tail_step_inflate(std::uint64_t count);
    Result<std::size_t> fill();
    Result<void> record_parse(std::string_view line);

    Fd fd_;
    std::optional<LogInflate> inflate_;  // Offsets are those of what comes out of it.
    std::optional<Tail> tail_;
    bool attributes_wanted_ = false;
    bool skipping_ = false;     // Inside a line that was too long.
    std::uint64_t offset_ = 0;  // Of the first byte that is not in buffer_ yet.
    std::uint64_t end_ = std::numeric_limits<std::uint64_t>::max();
    std::string buffer_;
    std::size_t used_ = 0;
    PlainRecordReader plain_;
    LogRecord record_;
};

}  // namespace davit
