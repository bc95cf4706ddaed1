#pragma once
/// The jobs that carry a container's streams: attach and logs.
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "jobs/container/container.h"
#include "jobs/engine.h"

namespace davit {

/// Multiplexed streams: each piece behind an 8-byte header of stream number and big-endian length.
/// Follows: Docker Engine API, operation ContainerAttach, "Stream format".
std::array<char, 8> frame_header(OutputStream stream, std::size_t bytes);

/// Not a stream of the container's: how its run ended (http/api/container_run.h).
inline constexpr std::uint8_t frame_of_end = 4;

struct AttachRequest {
    bool input = false;
    bool output = false;
    bool error = false;
    /// Replay the log first.
    bool logs = false;
    /// Follow what comes; without it only the log is sent.
    bool stream = true;
    /// Frames, unless the container has a terminal.
    bool framed = true;
    /// Keys that end the attachment of a terminal; empty: none.
    std::string detach_keys;
    /// The caller sends more behind the last byte of output, and attach_close() then.
    bool more_follows = false;
};

enum class AttachEnd : std::uint8_t { run_ended, detached, client_left };

/// The client's end of a hijacked connection.
struct AttachedClient {
    std::unique_ptr<FdStream> stream;
    /// Bytes that the client sent ahead.
    std::string buffered;
};

/// Carry streams between a client and a container until the run ends or the client goes.
/// The reader was made before the client learnt that it is attached, so nothing in between is lost.
/// Errors: cancelled; of a log that is to be replayed.
Task<AttachEnd> container_attach(Job& job,
                                 std::shared_ptr<Container> container,
                                 AttachRequest request,
                                 std::unique_ptr<OutputHub::Reader> reader,
                                 std::shared_ptr<AttachedClient> client);

/// Tell a client that this was all, and take what it still sends, for some seconds. Errors:
/// cancelled.
Task<void> attach_close(FdStream& stream);

/// "ctrl-p,ctrl-q" to the bytes they send. Errors: invalid_argument, naming the key.
Result<std::string> detach_keys_parse(std::string_view text);

struct LogsRequest {
    bool output = false;
    bool error = false;
    bool follow = false;
    bool timestamps = false;
    /// Put the attributes that the log driver keeps (log options labels, env and tag) before each
    /// record.
    bool details = false;
    bool framed = true;
    std::optional<WallTime> since;
    std::optional<WallTime> until;
    /// Only the last so many records; all if absent.
    std::optional<std::uint64_t> tail;
};

/// Write a container's log records to the job's output; with follow until its run ends, or it is
/// removed. Errors: unsupported for a log driver that cannot be read; the output's.
Task<void> container_logs(Job& job, std::shared_ptr<Container> container, LogsRequest request);

}  // namespace davit
