#include "cli/attach_session.h"

#include <fcntl.h>
#include <stdlib.h>

#include <cerrno>
#include <vector>

#include "cli/frame_reader.h"
#include "cli/stdio_stream.h"
#include "cli/terminal.h"
#include "reactor/base/limits.h"
#include "reactor/task_group.h"

namespace davit::cli {

namespace {

/// The signals to catch: all if they are forwarded, else those that would leave the terminal raw.
sigset_t signals_of_interest(const AttachOptions& options) {
    sigset_t set;
    ::sigemptyset(&set);
    if (options.sig_proxy) {
        set = signals_to_forward();
    } else if (options.tty && options.input) {
        for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
            ::sigaddset(&set, number);
        }
    }
    if (options.tty) {
        ::sigaddset(&set, SIGWINCH);
    } else {
        ::sigdelset(&set, SIGWINCH);
    }
    return set;
}

}  // namespace

void die_of_broken_pipe() {
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
    ::_exit(128 + SIGPIPE);
}

AttachSession::AttachSession(Context& context,
                             ApiClient& api,
                             AttachOptions options,
                             DetachKeys keys)
    : context_(context),
      api_(api),
      options_(std::move(options)),
      detach_keys_(std::move(keys)),
      frames_(std::make_unique<FrameReader>()) {}

AttachSession::~AttachSession() = default;

Result<std::unique_ptr<AttachSession>> AttachSession::make(Context& context,
                                                           ApiClient& api,
                                                           AttachOptions options) {
    if (options.tty && options.input && !is_terminal(context.fds().in)) {
        return Error(ErrorKind::invalid_argument, "the input device is not a TTY");
    }
    TRY(DetachKeys keys,
        DetachKeys::parse(options.detach_keys.empty() ? detach_keys_default
                                                      : std::string_view(options.detach_keys)));
    std::unique_ptr<AttachSession> session(
        new AttachSession(context, api, std::move(options), std::move(keys)));
    TRY(session->signals_, SignalStream::make(signals_of_interest(session->options_)));
    return session;
}

std::string AttachSession::path(std::string_view verb) const {
    const bool is_exec = !options_.exec.empty();
    return (is_exec ? "/exec/" : "/containers/") +
           percent_encode(is_exec ? options_.exec : options_.container) + "/" + std::string(verb);
}

Task<ClientHijacked> AttachSession::connect() {
    if (!options_.exec.empty()) {
        ApiCall start{"POST", path("start")};
        start.body = options_.exec_start;
        CO_TRY(ApiHijacked answer, co_await api_.hijack(std::move(start)));
        co_return std::move(answer.connection);
    }
    ApiCall call{"POST", options_.run ? "/davit/run" : path("attach")};
    if (options_.run) {
        call.query = std::move(options_.run->query);
        call.body = std::move(options_.run->body);
    } else {
        call.query.add("stream", "1");
    }
    const std::pair<const char*, bool> streams[] = {
        {"stdin", options_.input}, {"stdout", options_.output}, {"stderr", options_.error}};
    for (const auto& [name, wanted] : streams) {
        if (wanted) {
            call.query.add(name, "1");
        }
    }
    if (!options_.detach_keys.empty()) {
        call.query.add("detachKeys", options_.detach_keys);
    }
    CO_TRY(ApiHijacked answer, co_await api_.hijack(std::move(call)));
    if (options_.run) {
        options_.container = answer.headers.get("Davit-Container");
        warnings_ = answer.headers.get("Davit-Warnings");
    }
    co_return std::move(answer.connection);
}

Task<AttachEnd> AttachSession::run(ClientHijacked connection) {
    std::optional<RawMode> raw_mode;
    if (options_.tty && options_.input) {
        CO_TRY(RawMode entered, RawMode::enter(context_.fds().in));
        raw_mode.emplace(std::move(entered));
        raw_mode_ = &*raw_mode;
    }
    CancelScope output_scope(co_await current_scope());
    TaskGroup group(GroupPolicy::independent);
    group.spawn(forward_signals());
    if (options_.tty) {
        group.spawn(resize());
    }
    if (options_.input) {
        group.spawn(pump_input(*connection.stream, output_scope));
    }
    Result<void> output = co_await pump_output(connection).under(&output_scope);
    group.cancel();
    static_cast<void>(co_await group.join());
    raw_mode_ = nullptr;
    if (detached_) {
        co_return AttachEnd::detached;
    }
    if (!output) {
        co_return std::move(output).error();
    }
    co_return AttachEnd::output_ended;
}

Task<void> AttachSession::pump_input(ByteStream& stream, CancelScope& output_scope) {
    CO_TRY(StdioStream input, StdioStream::open(context_.fds().in, O_RDONLY));
    std::vector<char> buffer(limits::stream_read_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await input.read(buffer));
        if (got == 0) {
            co_return co_await stream.shutdown_write();
        }
        const std::string_view typed(buffer.data(), got);
        if (!options_.tty) {
            CO_CHECK(co_await stream.write(typed));
            continue;
        }
        const DetachKeys::Filtered filtered = detach_keys_.filter(typed);
        CO_CHECK(co_await stream.write(filtered.bytes));
        if (filtered.detached) {
            detached_ = true;
            output_scope.cancel();
            co_return ok;
        }
    }
}

Task<void> AttachSession::pump_output(ClientHijacked& connection) {
    CO_CHECK(co_await write_output(connection.buffered));
    std::vector<char> buffer(limits::stream_read_bytes);
    for (;;) {
        CO_TRY(const std::size_t got, co_await connection.stream->read(buffer));
        if (got == 0) {
            break;
        }
        CO_CHECK(co_await write_output(std::string_view(buffer.data(), got)));
    }
    if (!frames_->at_boundary()) {
        co_return Error(ErrorKind::unavailable, "the daemon's stream ended in the middle");
    }
    co_return ok;
}

Task<void> AttachSession::write_output(std::string_view bytes) {
    if (options_.tty && !options_.run) {
        co_return co_await write_to(context_.fds().out, bytes);
    }
    for (;;) {
        CO_TRY(const std::optional<FrameReader::Piece> piece, frames_->next(bytes));
        if (!piece) {
            co_return ok;
        }
        if (piece->stream == FrameReader::Stream::end) {
            end_ += piece->bytes;
            continue;
        }
        const bool is_error = piece->stream == FrameReader::Stream::err;
        CO_CHECK(
            co_await write_to(is_error ? context_.fds().err : context_.fds().out, piece->bytes));
    }
}

Task<void> AttachSession::write_to(int fd, std::string_view bytes) {
    if (bytes.empty()) {
        co_return ok;
    }
    std::unique_ptr<StdioStream>& stream = fd == context_.fds().err ? err_ : out_;
    Result<void> written = ok;
    if (!stream) {
        Result<StdioStream> opened = StdioStream::open(fd, O_WRONLY);
        if (opened) {
            stream = std::make_unique<StdioStream>(*std::move(opened));
        } else {
            written = std::move(opened).error();
        }
    }
    if (stream) {
        written = co_await stream->write(bytes);
    }
    if (!written && written.error().errno_value() == EPIPE) {
        if (raw_mode_ != nullptr) {
            raw_mode_->restore();
        }
        die_of_broken_pipe();
    }
    co_return std::move(written);
}

Task<void> AttachSession::forward_signals() {
    for (;;) {
        CO_TRY(const int number, co_await signals_->next());
        if (number == SIGWINCH && options_.tty) {
            CO_CHECK(co_await resize());
            continue;
        }
        if (!options_.sig_proxy) {
            if (raw_mode_ != nullptr) {
                raw_mode_->restore();
            }
            signals_->die_of(number);
        }
        ApiCall call{"POST", path("kill")};
        call.query.add("signal", signal_name(number));
        // A process that ended meanwhile has no use for it.
        static_cast<void>(co_await api_.call(std::move(call)));
    }
}

Task<void> AttachSession::resize() {
    const std::optional<TerminalSize> size = terminal_size(context_.fds().out);
    if (!size) {
        co_return ok;
    }
    ApiCall call{"POST", path("resize")};
    call.query.add("h", std::to_string(size->rows));
    call.query.add("w", std::to_string(size->columns));
    // Refused while the container is not running (any more): it has no terminal then.
    static_cast<void>(co_await api_.call(std::move(call)));
    co_return ok;
}

}  // namespace davit::cli
