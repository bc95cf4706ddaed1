#include "bench/support/http_unix.h"

#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "bench/support/interrupt.h"

namespace davit::bench {
namespace {

Error malformed(std::string_view what) {
    return Error(ErrorKind::corrupt, "malformed HTTP answer: " + std::string(what));
}

/// The value of a header line if it has this name.
bool header_is(std::string_view line, std::string_view name, std::string_view& value) {
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        strncasecmp(line.data(), name.data(), name.size()) != 0) {
        return false;
    }
    value = line.substr(name.size() + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return true;
}

}  // namespace

Result<HttpUnix> HttpUnix::connect(const std::string& socket_path, Nanoseconds wait_limit) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.size() >= sizeof address.sun_path) {
        return Error(ErrorKind::invalid_argument, "socket path too long: " + socket_path);
    }
    socket_path.copy(address.sun_path, socket_path.size());
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        return Error::from_errno(errno, "socket");
    }
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), raw, sizeof address) != 0) {
        return Error::from_errno(errno, "connect", socket_path);
    }
    return HttpUnix(std::move(socket), wait_limit);
}

Result<void> HttpUnix::fill() {
    TRY_VOID(await_readable(socket_.get(), deadline_in(wait_limit_)));
    char chunk[64 * 1024];
    ssize_t count = 0;
    do {
        count = ::read(socket_.get(), chunk, sizeof chunk);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return Error::from_errno(errno, "read", "engine socket");
    }
    if (count == 0) {
        return Error(ErrorKind::unavailable, "the engine closed the connection");
    }
    buffer_.append(chunk, static_cast<std::size_t>(count));
    return ok;
}

Result<std::string> HttpUnix::read_line() {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
        TRY_VOID(fill());
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return line;
}

Result<void> HttpUnix::send(const HttpRequest& request) {
    std::string head =
        fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", request.method, request.target);
    if (!request.content_type.empty()) {
        head += fmt::format("Content-Type: {}\r\n", request.content_type);
    }
    head += fmt::format("Content-Length: {}\r\n\r\n", request.body.size());
    if (request.body.size() < 16 * 1024) {
        head += request.body;
        TRY_VOID(write_all(socket_.get(), head));
    } else {
        TRY_VOID(write_all(socket_.get(), head));
        TRY_VOID(write_all(socket_.get(), request.body));
    }
    return ok;
}

Result<int> HttpUnix::begin(const HttpRequest& request) {
    TRY_VOID(send(request));
    return receive_head();
}

Result<int> HttpUnix::receive_head() {
    TRY(std::string status_line, read_line());
    int status = 0;
    if (status_line.size() < 12 ||
        std::from_chars(&status_line[9], &status_line[12], status).ec != std::errc()) {
        return malformed(status_line);
    }
    chunked_ = false;
    length_ = 0;
    bool length_known = status == 204 || status == 304;
    for (;;) {
        TRY(std::string line, read_line());
        if (line.empty()) {
            break;
        }
        std::string_view value;
        if (header_is(line, "Content-Length", value)) {
            std::from_chars(value.data(), value.data() + value.size(), length_);
            length_known = true;
        } else if (header_is(line, "Transfer-Encoding", value)) {
            chunked_ = value == "chunked";
        }
    }
    until_end_ = !chunked_ && !length_known;
    return status;
}

Result<void> HttpUnix::read_exactly(std::size_t count, const BodySink& sink) {
    while (count > 0) {
        if (buffer_.empty()) {
            TRY_VOID(fill());
        }
        const std::size_t taken = std::min(count, buffer_.size());
        sink(std::string_view(buffer_).substr(0, taken));
        buffer_.erase(0, taken);
        count -= taken;
    }
    return ok;
}

Result<void> HttpUnix::read_chunks(const BodySink& sink) {
    for (;;) {
        TRY(std::string line, read_line());
        std::size_t size = 0;
        if (std::from_chars(line.data(), line.data() + line.size(), size, 16).ec != std::errc()) {
            return malformed(line);
        }
        TRY_VOID(read_exactly(size, sink));
        TRY(std::string end, read_line());  // After the last chunk: the empty trailer.
        if (!end.empty()) {
            return malformed(end);
        }
        if (size == 0) {
            return ok;
        }
    }
}

Result<void> HttpUnix::finish(const BodySink& sink) {
    if (chunked_) {
        return read_chunks(sink);
    }
    if (!until_end_) {
        return read_exactly(length_, sink);
    }
    for (;;) {
        TRY(const bool more, read_piece(sink));
        if (!more) {
            return ok;
        }
    }
}

Result<bool> HttpUnix::read_piece(const BodySink& sink) {
    if (buffer_.empty()) {
        if (Result<void> more = fill(); !more) {
            return more.error().kind() == ErrorKind::unavailable ? Result<bool>(false)
                                                                 : std::move(more).error();
        }
    }
    sink(buffer_);
    buffer_.clear();
    return true;
}

Result<HttpAnswer> HttpUnix::exchange(const HttpRequest& request) {
    HttpAnswer answer;
    TRY(answer.status, begin(request));
    const BodySink sink = [&answer](std::string_view piece) { answer.body += piece; };
    TRY_VOID(finish(sink));
    return answer;
}

Result<std::string> http_call(const std::string& socket_path, const HttpRequest& request) {
    TRY(HttpUnix connection, HttpUnix::connect(socket_path));
    TRY(HttpAnswer answer, connection.exchange(request));
    if (answer.status >= 400) {
        return Error(
            ErrorKind::unavailable,
            fmt::format(
                "{} {}: {} {}", request.method, request.target, answer.status, answer.body));
    }
    return std::move(answer.body);
}

}  // namespace davit::bench
