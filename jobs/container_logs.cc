#include "drivers/log/log_files.h"
#include "http/message.h"
#include "jobs/container_streams.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// "key=value,...", escaped as in a query.
std::string attributes_text(const LogAttributes& attributes) {
    std::string text;
    for (const auto& [key, value] : attributes) {
        text.append(text.empty() ? "" : ",").append(percent_encode(key));
        text.append("=").append(percent_encode(value));
    }
    return text;
}

/// One record as the client wants it, appended to out.
void record_append(std::string& out, const LogRecord& record, const LogsRequest& request) {
    std::string prefix;
    if (request.timestamps) {
        prefix = rfc3339_nano_fixed(record.time) + " ";
    }
    if (request.details) {
        prefix += attributes_text(record.attributes) + ' ';
    }
    if (request.framed) {
        const std::array<char, 8> header =
            frame_header(record.stream, prefix.size() + record.text.size());
        out.append(header.data(), header.size());
    }
    out += prefix;
    out += record.text;
}

bool wanted(const LogRecord& record, const LogsRequest& request) {
    return (record.stream == OutputStream::standard_output ? request.output : request.error) &&
           (!request.since || record.time >= *request.since);
}

/// Write records up to the end of what there is. Gives: true once `until` was passed.
/// Other work gets its turn after every batch read, however little of it is wanted.
Task<bool> copy_records(Job& job, LogFiles& reader, const LogsRequest& request) {
    constexpr std::size_t batch_bytes = 64 * 1024;
    std::string batch;
    std::uint64_t turn_end = reader.bytes_read() + batch_bytes;
    bool past_until = false;
    for (bool more = true; more && !past_until;) {
        const Result<const LogRecord*> record = reader.next();
        if (!record && record.error().kind() != ErrorKind::corrupt) {
            co_return record.error();
        }
        // A damaged line is passed over: it must not hide the others.
        more = !record || *record != nullptr;
        if (record && more) {
            past_until = request.until && (*record)->time > *request.until;
            if (!past_until && wanted(**record, request)) {
                record_append(batch, **record, request);
            }
        }
        if (batch.size() >= batch_bytes || ((!more || past_until) && !batch.empty())) {
            CO_CHECK(co_await job.write(batch));
            batch.clear();
        }
        if (reader.bytes_read() >= turn_end) {
            co_await yield_now();
            turn_end = reader.bytes_read() + batch_bytes;
        }
    }
    co_return past_until;
}

/// Back through the file a block at a time: it may be long, and its lines, too.
Task<void> seek_tail(LogFiles& reader, std::uint64_t count) {
    for (;;) {
        CO_TRY(const bool reached, reader.seek_tail_step(count));
        if (reached) {
            co_return ok;
        }
        co_await yield_now();
    }
}

}  // namespace

Task<void> container_logs(Job& job, std::shared_ptr<Container> container, LogsRequest request) {
    if (container->record.host_config.log_config.type == "none") {
        co_return Error(ErrorKind::unsupported,
                        "configured logging driver does not support reading");
    }
    std::optional<LogFiles> reader;
    for (bool first = true;; first = false) {
        // Asked before reading: what is written after this look is seen by the next round.
        const bool running = container->is_up();
        const std::uint64_t seen = container->output.log_version();
        if (!reader && first && request.follow && running) {
            // With --rm the file may be made, filled and removed before this is resumed.
            CO_CHECK(container->output.log_create());
        }
        if (!reader) {
            // The file is made with the first output; there may be none yet, or ever.
            if (auto opened = LogFiles::open(container->record.log_path)) {
                reader.emplace(*std::move(opened));
                if (request.details) {
                    reader->attributes_wanted();
                }
                // A tail is of what there was when the request came.
                if (request.tail && first) {
                    CO_CHECK(co_await seek_tail(*reader, *request.tail));
                }
            }
        }
        if (reader) {
            CO_TRY(const bool done, co_await copy_records(job, *reader, request));
            if (done) {
                co_return ok;
            }
        }
        if (!request.follow || !running || container->removed) {
            co_return ok;
        }
        CO_CHECK(co_await container->output.log_changed(seen));
    }
}

}  // namespace davit
