#pragma once
/// OutputHub: a container's output, to its log and to whoever is attached.
///
/// A reader sees every byte from its subscription until the run ends. It holds at most
/// limits::attach_backlog_bytes_max; beyond that the container's pipe is not read until the reader
/// catches up or goes, so memory stays bounded and nothing is dropped.
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "drivers/log/json_file.h"
#include "jobs/container/output_store.h"
#include "reactor/async_event.h"

namespace davit {

struct OutputChunk {
    OutputStream stream = OutputStream::standard_output;
    std::shared_ptr<const std::string> bytes;
};

class OutputHub {
  public:
    class Reader {
      public:
        explicit Reader(OutputHub& hub);
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;
        ~Reader();

        /// The next bytes; nothing once the run has ended and all was taken. Errors: cancelled.
        Task<std::optional<OutputChunk>> next();

        /// Where in the log what next() gives begins; nothing if no run has logged since.
        const std::optional<LogPosition>& log_position() const { return log_position_; }

        /// Nobody asks for it any more: it holds a file that may be rotated away.
        void log_position_forget() { log_position_.reset(); }

      private:
        friend class OutputHub;

        OutputHub& hub_;
        std::list<Reader*>::iterator place_;
        std::deque<OutputChunk> chunks_;
        std::size_t bytes_ = 0;
        bool ended_ = false;
        std::optional<LogPosition> log_position_;
        WaitList waiters_;
    };

    /// Where records go from now on; none for log driver "none".
    void log_to(std::optional<JsonFileWriter> log);

    /// What is published is in this slot from now on, and is noted there when it is in the log;
    /// must outlive the run.
    void logs_from(OutputSlot& slot) { slot_ = &slot; }

    /// Give records to a service as well from now on.
    void log_also_to(std::shared_ptr<DatagramSink> sink) {
        if (log_) {
            log_->also_to(std::move(sink));
        }
    }

    bool is_logged() const { return log_.has_value(); }

    /// Make the log's file now: who follows it must hold it before the run, and the file, go.
    Result<void> log_create() {
        if (!log_) {
            return ok;
        }
        return log_->create();
    }

    /// Take bytes that the container wrote; returns when every reader has room again.
    /// A log that cannot be written is reported once per run through log_error().
    Task<void> publish(OutputStream stream, std::string_view bytes);

    /// One stream of the run ended; its last line may have no newline.
    void stream_ended(OutputStream stream);

    /// Nobody writes any more: what is left in the pipes is bounded, and no reader holds it up.
    void writers_ended();

    /// The run ended: readers get what is queued and then the end; followers of the log are woken.
    void run_ended();

    /// Await more log records or the end of the run, whichever is first, unless log_version() has
    /// moved on from what the caller saw before it read.
    Task<void> log_changed(std::uint64_t seen) {
        if (seen == log_version_) {
            co_return co_await log_waiters_.wait();
        }
        co_return ok;
    }

    std::uint64_t log_version() const { return log_version_; }

    /// Compress what is rotated away of the log of the run that has begun, if that is wanted; the
    /// container's output does not wait for it. Begins with what an earlier daemon has not come to,
    /// and ends some time after the run: when all is done. Errors: the first one's; nothing more is
    /// compressed then. Cancel: at every file.
    Task<void> log_pack() { return pack(packing_); }

    /// The first error of writing the log in this run.
    const std::optional<Error>& log_error() const { return log_error_; }

  private:
    friend class Reader;

    struct Packing {
        explicit Packing(LogPacker given) : packer(std::move(given)) {}

        LogPacker packer;
        AsyncEvent due;
        bool run_ended = false;
    };

    void publish_step(OutputStream stream, std::string_view& bytes);
    void log_result(Result<void> written);
    static Task<void> pack(std::shared_ptr<Packing> packing);
    void log_wake();

    /// Call an operation of the log that takes bytes of a stream, of which so many are then left.
    template <typename Operation>
    void log_note(OutputStream stream, const std::string_view& left, Operation&& operation);

    std::optional<JsonFileWriter> log_;
    OutputSlot* slot_ = nullptr;
    std::optional<Error> log_error_;
    std::list<Reader*> readers_;
    bool draining_ = false;
    std::shared_ptr<Packing> packing_;
    WaitList room_;  // The pump, waiting for a slow reader.
    WaitList log_waiters_;
    std::uint64_t log_version_ = 0;
};

}  // namespace davit
