#include <algorithm>
#include <cctype>

#include "drivers/log/log_files.h"
#include "jobs/container/detach_filter.h"
#include "jobs/container_streams.h"
#include "reactor/base/limits.h"
#include "reactor/base/log.h"
#include "reactor/task_group.h"
#include "reactor/timer.h"

namespace davit {

std::array<char, 8> frame_header(OutputStream stream, std::size_t bytes) {
    return {static_cast<char>(stream),
            0,
            0,
            0,
            static_cast<char>(bytes >> 24 & 255),
            static_cast<char>(bytes >> 16 & 255),
            static_cast<char>(bytes >> 8 & 255),
            static_cast<char>(bytes & 255)};
}

Result<std::string> detach_keys_parse(std::string_view text) {
    std::string keys;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view key = text.substr(0, comma);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
        if (key.size() == 1) {
            keys += key;
            continue;
        }
        const bool control = key.size() == 6 && key.starts_with("ctrl-");
        const char last = control ? static_cast<char>(std::tolower(key.back())) : '\0';
        if (last >= 'a' && last <= 'z') {
            keys += static_cast<char>(last - 'a' + 1);
        } else if (control && std::string_view("@[\\]^_").find(last) != std::string_view::npos) {
            keys += static_cast<char>(last == '@' ? 0 : last - '[' + 27);
        } else {
            return Error(ErrorKind::invalid_argument,
                         "Invalid detach keys (" + std::string(key) + "): unknown character");
        }
    }
    return keys;
}

namespace {

/// One attachment: output, input, and the watch for the client's hang-up, side by side. The run's
/// end and a detach end all three. A client that leaves ends its output, and its input where
/// nothing that it sent is left of it.
class Attachment {
  public:
    Attachment(Job& job,
               std::shared_ptr<Container> container,
               AttachRequest request,
               std::unique_ptr<OutputHub::Reader> reader,
               std::shared_ptr<AttachedClient> client)
        : job_(job),
          container_(std::move(container)),
          request_(std::move(request)),
          reader_(std::move(reader)),
          client_(std::move(client)),
          detach_(request_.detach_keys) {}

    Task<AttachEnd> carry() {
        if (request_.logs) {
            CO_CHECK(co_await replay_log());
        }
        if (reader_) {
            reader_->log_position_forget();
        }
        if (request_.stream) {
            TaskGroup group;
            group.spawn(output_then_end(group));
            group.spawn(input_then_end(group));
            group.spawn(watch());
            static_cast<void>(co_await group.join());
        }
        if (!request_.more_follows) {
            CO_CHECK(co_await attach_close(*client_->stream));
        }
        if (detached_) {
            co_return AttachEnd::detached;
        }
        co_return run_ended_ ? AttachEnd::run_ended : AttachEnd::client_left;
    }

  private:
    bool wanted(OutputStream stream) const {
        return stream == OutputStream::standard_output ? request_.output : request_.error;
    }

    Task<void> write(OutputStream stream, std::string_view bytes) {
        job_.count_written(bytes.size());
        if (!request_.framed) {
            co_return co_await client_->stream->write(bytes);
        }
        const std::array<char, 8> header = frame_header(stream, bytes.size());
        const std::array<std::string_view, 2> parts{std::string_view(header.data(), header.size()),
                                                    bytes};
        co_return co_await client_->stream->write_parts(parts);
    }

    /// Exactly what came before the first byte that reader_ gives.
    Task<void> replay_log() {
        const std::optional<LogPosition> end = reader_->log_position();
        if (!request_.stream) {
            reader_.reset();  // Nobody will take from it: the container must not wait for that.
        }
        if (auto log = LogFiles::open(container_->record.log_path)) {
            if (end) {
                log->end_at(*end);
            }
            CO_CHECK(co_await replay_records(*log));
        }
        if (end && !end->partial_output.empty() && request_.output) {
            CO_CHECK(co_await write(OutputStream::standard_output, end->partial_output));
        }
        if (end && !end->partial_error.empty() && request_.error) {
            CO_CHECK(co_await write(OutputStream::standard_error, end->partial_error));
        }
        co_return ok;
    }

    Task<void> replay_records(LogFiles& log) {
        constexpr std::uint64_t turn_bytes = 64 * 1024;
        std::uint64_t turn_end = turn_bytes;
        for (;;) {
            const auto record = log.next();
            if (!record && record.error().kind() != ErrorKind::corrupt) {
                co_return record.error();
            }
            if (record && !*record) {
                co_return ok;
            }
            if (record && wanted((*record)->stream)) {  // Else damaged; the reader is past it.
                CO_CHECK(co_await write((*record)->stream, (*record)->text));
            }
            if (log.bytes_read() >= turn_end) {
                co_await yield_now();
                turn_end = log.bytes_read() + turn_bytes;
            }
        }
    }

    Task<void> output_then_end(TaskGroup& group) {
        CancelScope scope(co_await current_scope());
        output_scope_ = &scope;
        const Result<void> carried = co_await carry_output().under(&scope);
        output_scope_ = nullptr;
        if (carried) {
            group.cancel();
        } else {
            reader_.reset();  // The container must not wait for a client that has left.
        }
        co_return ok;
    }

    /// Until the run ends. Errors: the client's.
    Task<void> carry_output() {
        for (;;) {
            CO_TRY(const std::optional<OutputChunk> chunk, co_await reader_->next());
            if (!chunk) {
                run_ended_ = true;
                co_return ok;
            }
            if (wanted(chunk->stream)) {
                CO_CHECK(co_await write(chunk->stream, *chunk->bytes));
            }
        }
    }

    /// When the client has left, nobody takes its output; nor is the start worth waiting for, if it
    /// sent nothing for then.
    Task<void> watch() {
        CO_CHECK(co_await client_->stream->hung_up());
        if (output_scope_ != nullptr) {
            output_scope_->cancel();
        }
        if (start_scope_ != nullptr && !sent_ahead()) {
            start_scope_->cancel();
        }
        co_return ok;
    }

    /// While nobody else reads from the client.
    bool sent_ahead() {
        if (client_->buffered.empty()) {
            std::vector<char> bytes(limits::attach_input_bytes);
            const auto got = client_->stream->try_read(bytes);
            client_->buffered.assign(bytes.data(), got && *got ? **got : 0);
        }
        return !client_->buffered.empty();
    }

    /// A run that takes input, waiting for the container to be started if need be.
    Task<std::shared_ptr<ContainerRun>> running() {
        while (!container_->run && !container_->removed) {
            CO_CHECK(co_await container_->wait_changed());
        }
        co_return container_->run;
    }

    Task<void> input_then_end(TaskGroup& group) {
        if (request_.input && container_->record.config.open_stdin) {
            static_cast<void>(co_await carry_input());
            if (detached_ || (!request_.output && !request_.error)) {
                group.cancel();
            }
        }
        co_return ok;
    }

    bool once() const {
        const ContainerConfig& config = container_->record.config;
        return config.stdin_once && !config.tty;
    }

    Task<void> carry_input() {
        CancelScope scope(co_await current_scope());
        start_scope_ = &scope;
        ++container_->inputs_awaited;
        const auto run = co_await running().under(&scope);
        --container_->inputs_awaited;
        start_scope_ = nullptr;
        if (!run) {
            // It came and went: the run that it was attached to will find its stdin at its end.
            container_->input_spent = container_->input_spent || once();
            co_return run.error();
        }
        if (!*run || !(*run)->input) {
            co_return ok;
        }
        ++(*run)->input_writers;
        Result<void> ended = co_await copy_input(**run);
        // However it ended, the client will send no more.
        if (--(*run)->input_writers == 0 && once() && !detached_) {
            (*run)->input_close();
        }
        co_return ended;
    }

    Task<void> copy_input(ContainerRun& run) {
        std::string bytes = std::move(client_->buffered);
        std::vector<char> buffer(limits::attach_input_bytes);
        for (;;) {
            DetachFilter::Outcome outcome = detach_.filter(bytes);
            if (outcome.detached) {
                detached_ = true;
                co_return ok;
            }
            if (!outcome.pass.empty()) {
                if (!run.input) {
                    co_return ok;
                }
                CO_TRY(const auto turn, co_await run.input_turn.lock());
                CO_CHECK(co_await run.input->write(outcome.pass));
            }
            CO_TRY(const std::size_t got, co_await client_->stream->read(buffer));
            job_.count_read(got);
            if (got == 0) {
                co_return ok;
            }
            bytes.assign(buffer.data(), got);
        }
    }

    Job& job_;
    std::shared_ptr<Container> container_;
    AttachRequest request_;
    std::unique_ptr<OutputHub::Reader> reader_;
    std::shared_ptr<AttachedClient> client_;
    DetachFilter detach_;
    bool detached_ = false;
    bool run_ended_ = false;
    CancelScope* output_scope_ = nullptr;
    CancelScope* start_scope_ = nullptr;
};

/// Until the client closes, too.
Task<void> discard_input(FdStream& stream) {
    std::vector<char> scratch(limits::attach_input_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await stream.read(scratch));
        if (got == 0) {
            co_return ok;
        }
        co_await yield_now();
    }
}

}  // namespace

Task<void> attach_close(FdStream& stream) {
    // The client reads the end of the stream behind the last byte.
    const Result<void> ended = co_await stream.shutdown_write();
    if (ended) {
        // Closing over unread input would reset the connection, and what was sent with it.
        static_cast<void>(co_await with_timeout(limits::attach_close_max, discard_input(stream)));
    }
    co_return ok;
}

Task<AttachEnd> container_attach(Job& job,
                                 std::shared_ptr<Container> container,
                                 AttachRequest request,
                                 std::unique_ptr<OutputHub::Reader> reader,
                                 std::shared_ptr<AttachedClient> client) {
    Attachment attachment(
        job, std::move(container), std::move(request), std::move(reader), std::move(client));
    co_return co_await attachment.carry();
}

}  // namespace davit
