/// The response's side of a server connection: heads, chunks, hijack.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cassert>
#include <charconv>
#include <ctime>

#include "http/server_connection.h"
#include "reactor/timer.h"

namespace davit {

using namespace std::chrono_literals;

namespace {

/// Bodies up to this are copied behind their head: one write(2) of one buffer.
constexpr std::size_t copy_bytes_max = 8192;

/// What a client may take to read the head of a hijacked stream before bytes follow it.
constexpr Nanoseconds drain_time_max = 2s;

/// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second. Follows: RFC 9110 section 5.6.7.
std::string_view date_now() {
    struct Cache {
        std::time_t second = -1;
        char text[32];
        std::size_t size = 0;
    };

    static Cache cache;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != cache.second) {
        tm parts{};
        ::gmtime_r(&now.tv_sec, &parts);
        constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        constexpr const char* months[] = {
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        // Not %a and %b: those follow the locale.
        const std::string format =
            std::string(days[parts.tm_wday]) + ", %d " + months[parts.tm_mon] + " %Y %H:%M:%S GMT";
        cache.size = std::strftime(cache.text, sizeof(cache.text), format.c_str(), &parts);
        cache.second = now.tv_sec;
    }
    return {cache.text, cache.size};
}

bool bodiless(int status) {
    return status / 100 == 1 || status == 204 || status == 304;
}

/// {"message": text}; text is one of our own, or an Error's.
std::string message_body(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "{\"message\":\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20) {
            out.append("\\u00");
            out.push_back(digits[byte >> 4]);
            out.push_back(digits[byte & 15]);
        } else {
            out.push_back(c);
        }
    }
    return out.append("\"}\n");
}

void append_number(std::string& out, std::uint64_t value, int base = 10) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof(text), value, base).ptr;
    out.append(text, end);
}

}  // namespace

/// The head up to the fields that frame the body, into out_.
void ServerConnection::head_begin(int status, std::string_view content_type) {
    assert(!started_ && "one response per request");
    started_ = true;
    out_.assign(parser_.request().version_minor > 0 ? "HTTP/1.1 " : "HTTP/1.0 ");
    append_number(out_, static_cast<std::uint64_t>(status));
    out_.append(" ").append(status_reason(status)).append("\r\n");
    out_.append(shared_.base_headers);
    headers_.append_to(out_);
    out_.append("Date: ").append(date_now()).append("\r\n");
    if (!content_type.empty()) {
        out_.append("Content-Type: ").append(content_type).append("\r\n");
    }
}

void ServerConnection::head_end() {
    // A client that waits for "100 Continue" and never got it may or may not send its body now.
    closing_ = closing_ || expects_continue_;
    if (closing_) {
        out_.append("Connection: close\r\n");
    } else if (parser_.request().version_minor == 0) {
        out_.append("Connection: keep-alive\r\n");
    }
    out_.append("\r\n");
}

/// Write out_, then more.
Task<void> ServerConnection::put(std::string_view more) {
    Result<void> written = ok;
    if (more.size() <= copy_bytes_max) {
        out_.append(more);
        written = co_await stream_->write(out_);
    } else {
        const std::string_view parts[] = {out_, more};
        written = co_await stream_->write_parts(parts);
    }
    out_.clear();
    if (!written) {
        closing_ = true;
    }
    co_return written;
}

Task<void> ServerConnection::send(int status,
                                  std::string_view content_type,
                                  std::string_view body) {
    head_begin(status, content_type);
    if (!bodiless(status)) {
        out_.append("Content-Length: ");
        append_number(out_, body.size());
        out_.append("\r\n");
    }
    head_end();
    ended_ = true;
    if (bodiless(status) || parser_.request().method == "HEAD") {
        body = {};
    }
    co_return co_await put(body);
}

Task<void> ServerConnection::begin(int status, std::string_view content_type) {
    head_begin(status, content_type);
    const bool head_only = bodiless(status) || parser_.request().method == "HEAD";
    if (!bodiless(status)) {
        if (parser_.request().version_minor > 0) {
            out_.append("Transfer-Encoding: chunked\r\n");
            chunked_ = !head_only;
        } else {
            closing_ = true;  // HTTP/1.0 has no chunks: the body ends with the connection.
        }
    }
    head_end();
    ended_ = head_only;
    co_return co_await put(std::string_view());
}

Task<void> ServerConnection::write(std::string_view bytes) {
    assert(started_);
    if (bytes.empty() || ended_) {
        co_return ok;
    }
    out_.clear();
    if (!chunked_) {
        co_return co_await put(bytes);
    }
    append_number(out_, bytes.size(), 16);
    out_.append("\r\n");
    if (bytes.size() <= copy_bytes_max) {
        out_.append(bytes);
        co_return co_await put("\r\n");
    }
    const std::string_view parts[] = {out_, bytes, "\r\n"};
    Result<void> written = co_await stream_->write_parts(parts);
    if (!written) {
        closing_ = true;
    }
    co_return written;
}

Task<void> ServerConnection::end() {
    assert(started_);
    if (ended_) {
        co_return ok;
    }
    ended_ = true;
    out_.clear();
    if (!chunked_) {
        co_return ok;
    }
    co_return co_await put("0\r\n\r\n");
}

/// Answer with an error, if nothing was answered yet.
Task<void> ServerConnection::refuse(const Error& error) {
    headers_.clear();
    ErrorResponse response;
    if (shared_.options.on_error) {
        response = shared_.options.on_error(error);
    } else {
        response.body = message_body(error.message());
    }
    if (fault_status_ != 0) {
        response.status = fault_status_;
    }
    co_return co_await send(response.status, response.content_type, response.body);
}

/// True for clients that are known to read a hijacked stream from the buffer that held its head.
bool ServerConnection::reads_head_apart() const {
    const std::string_view agent = parser_.request().headers.get("User-Agent");
    return !(agent.starts_with("Docker-Client/") || agent.starts_with("Go-http-client/") ||
             agent.starts_with("davit/"));
}

Task<Hijacked> ServerConnection::hijack(std::string_view content_type, std::string_view protocol) {
    assert(!started_ && !hijacking_);
    hijacking_ = true;
    CO_TRY(const bool skipped, co_await skip_body());
    if (!skipped) {
        co_return Error(ErrorKind::invalid_argument, "the request's body is too large");
    }
    if (watching_) {
        watch_stop();
        co_await yield_now();  // The watcher was queued before us: it has let go of the stream.
        assert(!watching_);
    }
    if (gone_) {
        co_return Error(ErrorKind::unavailable, "the client is gone");
    }
    started_ = ended_ = closing_ = true;
    const bool upgrade = request_.wants_upgrade(protocol);
    out_.assign(upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n");
    if (!content_type.empty()) {
        out_.append("Content-Type: ").append(content_type).append("\r\n");
    }
    if (upgrade) {
        out_.append("Connection: Upgrade\r\nUpgrade: ").append(protocol).append("\r\n");
    }
    out_.append(shared_.base_headers);
    headers_.append_to(out_);
    CO_CHECK(co_await put("\r\n"));
    if (reads_head_apart()) {
        CO_CHECK(co_await wait_until_drained(*stream_, drain_time_max));
    }
    hijacked_ = true;
    Hijacked taken;
    taken.stream = std::move(stream_);
    taken.buffered = in_.view();
    in_.consume(taken.buffered.size());
    co_return std::move(taken);
}

Task<void> wait_until_drained(FdStream& stream, Nanoseconds cap) {
    // The kernel has no event for "the peer has read everything": writability is told much earlier.
    // So look, let everything else run once (a fast peer costs no more than that), then look again
    // after growing pauses.
    const MonotonicTime deadline = monotonic_now() + cap;
    Nanoseconds pause = 0ms;
    for (;;) {
        int unread = 0;
        if (::ioctl(stream.fd(), SIOCOUTQ, &unread) != 0 || unread == 0) {
            co_return ok;  // Not a socket: then nobody waits for it either.
        }
        const MonotonicTime now = monotonic_now();
        if (now >= deadline) {
            co_return ok;
        }
        if (pause == 0ms) {
            co_await yield_now();
            pause = 1ms;
        } else {
            CO_CHECK(co_await sleep_until(std::min(deadline, now + pause)));
            pause *= 2;
        }
    }
}

}  // namespace davit
