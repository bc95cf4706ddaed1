#include "http/server_connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "reactor/timer.h"

namespace davit {

using namespace std::chrono_literals;

namespace {

constexpr MonotonicTime never = MonotonicTime::max();

/// How long a connection that is refused in the middle of a request is still read from.
constexpr Nanoseconds linger_time = 2s;

/// True if every % in a path is followed by two hex digits.
bool escapes_are_whole(std::string_view path) {
    return path.find('%') == std::string_view::npos || percent_decode(path).has_value();
}

}  // namespace

void ReadDeadline::begin(MonotonicTime deadline, CancelScope& scope) {
    deadline_ = deadline;
    scope_ = &scope;
    expired_ = false;
    if (deadline != never && (!timer_.armed() || deadline < armed_for_)) {
        armed_for_ = deadline;
        timer_.arm(deadline, on_timer, this);
    }
}

bool ReadDeadline::end() {
    scope_ = nullptr;
    return expired_;
}

void ReadDeadline::on_timer(void* context) noexcept {
    auto* self = static_cast<ReadDeadline*>(context);
    if (self->scope_ == nullptr || self->deadline_ == never) {
        return;
    }
    if (monotonic_now() < self->deadline_) {
        self->armed_for_ = self->deadline_;
        self->timer_.arm(self->deadline_, on_timer, self);
        return;
    }
    self->expired_ = true;
    self->scope_->cancel();
}

ServerConnection::ServerConnection(ServerShared& shared, std::unique_ptr<FdStream> stream)
    : shared_(shared),
      stream_(std::move(stream)),
      parser_(MessageParser::Type::request, shared.options.header_bytes_max) {}

Task<void> ServerConnection::run() {
    while (!closing_) {
        Result<bool> head = co_await read_head();
        if (!head) {
            if (fault_status_ != 0) {
                static_cast<void>(co_await refuse(head.error()));
            }
            break;
        }
        if (!*head) {
            break;
        }
        static_cast<void>(co_await handle());
        if (hijacked_ || closing_ || group_.cancelled()) {
            break;
        }
        const Result<bool> skipped = co_await skip_body();
        if (!skipped || !*skipped) {
            break;
        }
        next();
    }
    if (lingering_ && stream_) {
        static_cast<void>(co_await linger());
    }
    co_return ok;
}

void ServerConnection::next() {
    parser_.next();
    in_.shrink();
    headers_.clear();
    out_.clear();
    body_bytes_ = 0;
    started_ = ended_ = chunked_ = handler_waited_ = false;
}

/// Remember the status for an error that the client caused; the request is its last one.
Error ServerConnection::fault(int status, Error error) {
    fault_status_ = status;
    closing_ = lingering_ = true;
    return error;
}

/// False at the end of the connection between two requests.
Task<bool> ServerConnection::read_head() {
    const ServerOptions& options = shared_.options;
    MonotonicTime head_deadline = never;
    while (!parser_.head_done()) {
        if (in_.empty()) {
            const bool idle = parser_.untouched();
            MonotonicTime deadline = head_deadline;
            if (idle || deadline == never) {
                const MonotonicTime now = monotonic_now();
                deadline = now + (idle ? options.idle_timeout : options.header_timeout);
                head_deadline = idle ? never : deadline;
            }
            // Between two requests the next one is rarely there yet: a try would cost a system
            // call.
            const Result<std::size_t> got =
                co_await fill(InBuffer::small_bytes / 2, deadline, idle);
            if (!got) {
                if (got.error().kind() == ErrorKind::timed_out && !idle) {
                    co_return fault(408, Error(ErrorKind::timed_out, "the request took too long"));
                }
                co_return got.error();
            }
            if (*got == 0) {
                co_return false;
            }
        }
        Result<MessageParser::Step> step = parser_.step(in_.view());
        if (!step) {
            const int status = step.error().kind() == ErrorKind::resource_exhausted ? 431 : 400;
            co_return fault(status, std::move(step).error());
        }
        in_.consume(step->consumed);
        piece_ = step->body;
    }
    if (Result<void> checked = head_check(); !checked) {
        co_return fault(400, std::move(checked).error());
    }
    closing_ = !parser_.keep_alive();
    const RequestHead& head = parser_.request();
    expects_continue_ = parser_.has_body() && piece_.empty() && head.version_minor > 0 &&
                        head.headers.has_token("Expect", "100-continue");
    co_return true;
}

/// Follows: RFC 9112 section 3.2, on Host.
Result<void> ServerConnection::head_check() const {
    const RequestHead& head = parser_.request();
    const auto hosts = std::count_if(head.headers.begin(), head.headers.end(), [](const auto& f) {
        return equals_ignoring_case(f.name, "Host");
    });
    if (hosts > 1 || (hosts == 0 && head.version_minor > 0)) {
        return Error(ErrorKind::invalid_argument, "a request needs one Host header");
    }
    if (!escapes_are_whole(head.path())) {
        return Error(ErrorKind::invalid_argument, "invalid percent-encoding in the request's path");
    }
    return ok;
}

/// Read once into in_. 0 at the end of the stream. Errors: timed_out, cancelled, the socket's.
Task<std::size_t> ServerConnection::fill(std::size_t bytes_min,
                                         MonotonicTime deadline,
                                         bool wait_first) {
    const std::span<char> space = in_.space(bytes_min);
    while (!eof_) {
        if (!wait_first) {
            CO_TRY(const std::optional<std::size_t> got, stream_->try_read(space));
            if (got) {
                eof_ = *got == 0;
                in_.commit(*got);
                co_return *got;
            }
        }
        wait_first = false;
        CancelScope scope(co_await current_scope());
        deadline_.begin(deadline, scope);
        Result<void> readable = co_await stream_->readable().under(&scope);
        if (deadline_.end()) {
            co_return Error(ErrorKind::timed_out, "the client sends nothing");
        }
        CO_CHECK(std::move(readable));
    }
    co_return std::size_t{0};
}

Task<void> ServerConnection::handle() {
    outcome_.reset();
    group_.spawn(invoke());
    if (!outcome_) {
        handler_waited_ = true;
        if (parser_.message_done()) {
            watch_start();
        }
    }
    // Cancellation of this task reaches the handler through the group.
    while (group_.running() > 0) {
        static_cast<void>(co_await group_.join());
    }
    co_return co_await settle(std::move(*outcome_));
}

Task<void> ServerConnection::invoke() {
    CancelScope scope(co_await current_scope());
    handler_scope_ = &scope;
    Task<void> task = shared_.handler(request_, response_);
    Result<void> outcome = co_await std::move(task).under(&scope);
    handler_scope_ = nullptr;
    outcome_.emplace(std::move(outcome));
    watch_stop();
    co_return ok;
}

/// The handler is done: see to it that the client has a whole response, or the connection's end.
Task<void> ServerConnection::settle(Result<void> outcome) {
    if (hijacked_ || gone_) {
        closing_ = true;
        co_return ok;
    }
    if (!outcome) {
        if (!started_) {
            co_return co_await refuse(outcome.error());
        }
        closing_ = closing_ || !ended_;
        co_return ok;
    }
    if (!started_) {
        co_return co_await send(200, {}, {});
    }
    co_return co_await end();
}

/// What of the body is in in_ or pending already; 0 if more must be read, or at the end.
Result<std::size_t> ServerConnection::take_body(std::span<char> buffer) {
    while (piece_.empty() && !parser_.message_done()) {
        Result<MessageParser::Step> step = parser_.step(in_.view());
        if (!step) {
            const int status = step.error().kind() == ErrorKind::resource_exhausted ? 431 : 400;
            return fault(status, std::move(step).error());
        }
        in_.consume(step->consumed);
        piece_ = step->body;
        if (step->consumed == 0 && piece_.empty()) {
            break;
        }
    }
    const std::size_t count = std::min(buffer.size(), piece_.size());
    if (count > 0) {
        std::memcpy(buffer.data(), piece_.data(), count);
        piece_.remove_prefix(count);
    }
    body_bytes_ += count;
    const std::uint64_t bytes_max = shared_.options.body_bytes_max;
    if (bytes_max != 0 && std::max(body_bytes_, parser_.content_length().value_or(0)) > bytes_max) {
        return fault(413, Error(ErrorKind::resource_exhausted, "the request's body is too large"));
    }
    return count;
}

Task<std::size_t> ServerConnection::read_body(std::span<char> buffer) {
    assert(!buffer.empty());
    for (;;) {
        CO_TRY(const std::size_t count, take_body(buffer));
        if (count > 0) {
            co_return count;
        }
        if (parser_.message_done()) {
            if (handler_waited_) {
                watch_start();
            }
            co_return std::size_t{0};
        }
        if (expects_continue_ && !started_) {
            expects_continue_ = false;
            CO_CHECK(co_await stream_->write("HTTP/1.1 100 Continue\r\n\r\n"));
        }
        const MonotonicTime deadline = monotonic_now() + shared_.options.body_timeout;
        Result<std::size_t> got = co_await fill(limits::stream_read_bytes, deadline, false);
        if (!got) {
            if (got.error().kind() == ErrorKind::timed_out) {
                co_return fault(408, std::move(got).error());
            }
            co_return std::move(got).error();
        }
        if (*got == 0) {
            co_return fault(400,
                            Error(ErrorKind::invalid_argument,
                                  "the connection ended inside the request's body"));
        }
    }
}

Task<std::string> ServerConnection::read_body_all(std::size_t bytes_max) {
    auto too_large = [](std::size_t limit) {
        return Error(ErrorKind::resource_exhausted,
                     "the request's body is larger than " + std::to_string(limit) + " bytes");
    };
    const std::uint64_t stated = parser_.content_length().value_or(0);
    if (stated > bytes_max) {
        co_return fault(413, too_large(bytes_max));
    }
    std::string body;
    std::size_t size = 0;
    // One byte more than is expected, so that the end is seen without another growth.
    body.resize(parser_.has_body() ? std::max<std::size_t>(stated + 1, 1024) : 1);
    for (;;) {
        CO_TRY(const std::size_t got, co_await read_body(std::span<char>(body).subspan(size)));
        size += got;
        if (size > bytes_max) {
            co_return fault(413, too_large(bytes_max));
        }
        if (got == 0) {
            break;
        }
        if (size == body.size()) {
            body.resize(std::min(size * 2, bytes_max + 1));
        }
    }
    body.resize(size);
    co_return std::move(body);
}

/// Read what the handler left of the body, so that the next request can be read. False if that is
/// too much.
Task<bool> ServerConnection::skip_body() {
    std::array<char, 4096> scratch;
    std::size_t skipped = 0;
    while (!parser_.message_done() || !piece_.empty()) {
        CO_TRY(const std::size_t got, co_await read_body(scratch));
        skipped += got;
        if (skipped > limits::http_skip_bytes_max) {
            lingering_ = true;
            co_return false;
        }
    }
    co_return true;
}

/// Closing a socket with unread bytes makes the peer lose our answer to them (a TCP reset, or
/// ECONNRESET on a unix socket). So say that no more comes, and let the peer finish.
Task<void> ServerConnection::linger() {
    CO_CHECK(co_await stream_->shutdown_write());
    auto drain = [](FdStream& stream) -> Task<void> {
        std::vector<char> scratch(limits::stream_read_bytes);
        for (;;) {
            CO_TRY(const std::size_t got, co_await stream.read(scratch));
            if (got == 0) {
                co_return ok;
            }
        }
    };
    co_return co_await with_timeout(linger_time, drain(*stream_));
}

void ServerConnection::watch_start() {
    if (watching_ || hijacking_ || handler_scope_ == nullptr) {
        return;
    }
    watching_ = true;
    group_.spawn(watch());
}

void ServerConnection::watch_stop() {
    if (watch_scope_ != nullptr) {
        watch_scope_->cancel();
    }
}

Task<void> ServerConnection::watch() {
    CancelScope scope(co_await current_scope());
    watch_scope_ = &scope;
    static_cast<void>(co_await watch_until_gone().under(&scope));
    watch_scope_ = nullptr;
    watching_ = false;
    co_return ok;
}

/// Cancels the handler when the client goes away. What the client sends meanwhile (a pipelined
/// request, the first bytes of a stream that will be hijacked) is kept in in_; when that is full,
/// or the client has said that it sends no more, only its hang-up is waited for.
Task<void> ServerConnection::watch_until_gone() {
    while (!eof_ && in_.view().size() < InBuffer::small_bytes) {
        CO_CHECK(co_await stream_->readable());
        const auto got = stream_->try_read(in_.space(InBuffer::small_bytes / 2));
        if (got && !*got) {
            continue;
        }
        if (got && **got > 0) {
            in_.commit(**got);
            continue;
        }
        eof_ = true;
        gone_ = !got || client_gone();
    }
    if (!gone_) {
        CO_CHECK(co_await stream_->hung_up());
        gone_ = true;
    }
    if (handler_scope_ != nullptr) {  // It may have ended in this very turn of the loop.
        handler_scope_->cancel();
    }
    co_return ok;
}

/// The stream has ended: did the client leave, or does it only send no more (`... | nc -N -U`)?
/// On a unix socket the two differ. On TCP they look the same, and it counts as gone, as in Go.
bool ServerConnection::client_gone() const {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    if (::getsockname(stream_->fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        address.ss_family != AF_UNIX) {
        return true;
    }
    pollfd state{stream_->fd(), 0, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace davit
