#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include "http/client_state.h"
#include "reactor/base/limits.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// Bodies up to this are copied behind their head, to be written together.
constexpr std::size_t copy_bytes_max = 16 * 1024;

/// A body is read straight into buffers from this size on, and so much at a time: what the loop
/// copies in much less than a millisecond.
constexpr std::size_t direct_bytes_min = 16 * 1024;
constexpr std::size_t direct_bytes_max = 256 * 1024;

bool method_has_body(std::string_view method) {
    return method == "POST" || method == "PUT" || method == "PATCH";
}

std::string chunk_head(std::size_t size) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    do {
        text.insert(text.begin(), digits[size & 15]);
        size >>= 4;
    } while (size > 0);
    return text.append("\r\n");
}

}  // namespace

Task<void> ClientConnection::State::exchange(const ClientRequest& request) {
    assert((!begun || reusable()) && "the last response was not read to its end");
    begun = true;
    broken = true;  // Until the head of the response is here.
    request_failed = false;
    parser.next(request.method == "HEAD");
    in.shrink();
    Result<void> written = co_await write_head(request);
    if (written) {
        written = co_await write_body(request);
    }
    if (!written && (request_failed || written.error().kind() == ErrorKind::cancelled ||
                     written.error().kind() == ErrorKind::timed_out)) {
        co_return written;
    }
    // A server that refuses a body answers and closes without reading it all: its answer says more
    // than our broken pipe.
    Result<void> head = co_await read_head();
    if (!head) {
        co_return written ? std::move(head) : std::move(written);
    }
    broken = !written;
    co_return ok;
}

Task<void> ClientConnection::State::write_head(const ClientRequest& request) {
    const auto breaks_line = [](char c) { return c <= ' ' || c == 0x7f; };
    if (request.target.empty() ||
        std::any_of(request.target.begin(), request.target.end(), breaks_line)) {
        request_failed = true;
        co_return Error(ErrorKind::invalid_argument, "invalid request target");
    }
    std::string out = request.method + " " + request.target + " HTTP/1.1\r\n";
    if (!request.headers.contains("Host")) {
        out.append("Host: localhost\r\n");
    }
    request.headers.append_to(out);
    if (!request.upgrade.empty()) {
        out.append("Connection: Upgrade\r\nUpgrade: ").append(request.upgrade).append("\r\n");
    }
    if (request.producer && !request.body_bytes) {
        out.append("Transfer-Encoding: chunked\r\n");
    } else {
        const std::uint64_t size =
            request.producer ? *request.body_bytes : std::uint64_t{request.body.size()};
        if (size > 0 || method_has_body(request.method)) {
            out.append("Content-Length: ").append(std::to_string(size)).append("\r\n");
        }
    }
    out.append("\r\n");
    if (!request.producer && request.body.size() <= copy_bytes_max) {
        out.append(request.body);
    }
    co_return co_await write(out);
}

Task<void> ClientConnection::State::write_body(const ClientRequest& request) {
    if (!request.producer) {
        if (request.body.size() > copy_bytes_max) {
            co_return co_await write(request.body);
        }
        co_return ok;
    }
    std::vector<char> buffer(limits::stream_read_bytes);
    std::uint64_t total = 0;
    for (;;) {
        Task<std::size_t> produced = request.producer(buffer);
        Result<std::size_t> got = co_await std::move(produced);
        if (!got) {
            request_failed = true;
            co_return std::move(got).error();
        }
        const std::string_view bytes(buffer.data(), *got);
        total += *got;
        if (request.body_bytes &&
            (total > *request.body_bytes || (*got == 0 && total != *request.body_bytes))) {
            request_failed = true;
            co_return Error(ErrorKind::internal, "the request's body is not as long as was said");
        }
        if (!request.body_bytes) {
            std::string chunk = chunk_head(bytes.size());
            chunk.append(bytes).append("\r\n");
            CO_CHECK(co_await write(chunk));
        } else if (!bytes.empty()) {
            CO_CHECK(co_await write(bytes));
        }
        if (bytes.empty()) {
            co_return ok;
        }
    }
}

/// In pieces, so that a stall is told from a slow but steady peer.
Task<void> ClientConnection::State::write(std::string_view bytes) {
    if (options.stall_timeout == Nanoseconds::zero()) {
        co_return co_await stream->write(bytes);
    }
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, limits::stream_read_bytes);
        bytes.remove_prefix(part.size());
        Result<void> written = co_await with_timeout(options.stall_timeout, stream->write(part));
        if (!written && written.error().kind() == ErrorKind::timed_out) {
            co_return Error(ErrorKind::timed_out, "the server stopped reading");
        }
        CO_CHECK(std::move(written));
    }
    co_return ok;
}

/// Read once. 0 at the stream's end.
Task<std::size_t> ClientConnection::State::receive(std::span<char> space) {
    if (options.stall_timeout == Nanoseconds::zero()) {
        co_return co_await stream->read(space);
    }
    Result<std::size_t> got = co_await with_timeout(options.stall_timeout, stream->read(space));
    if (!got && got.error().kind() == ErrorKind::timed_out) {
        co_return Error(ErrorKind::timed_out, "the server sends nothing");
    }
    co_return got;
}

Task<std::size_t> ClientConnection::State::fill(std::size_t bytes_min) {
    CO_TRY(const std::size_t got, co_await receive(in.space(bytes_min)));
    in.commit(got);
    co_return got;
}

/// Read once, into the reader's own buffer: of a large body nothing is copied. What is not the
/// body's, and what follows its first piece, is put where fill() puts it. Sets `piece`, which may
/// be empty.
Task<std::size_t> ClientConnection::State::fill_directly(std::span<char> buffer) {
    CO_TRY(const std::size_t got, co_await receive(buffer));
    const std::string_view bytes(buffer.data(), got);
    auto step = parser.step(bytes);
    if (!step) {
        co_return std::move(step).error().with_kind(ErrorKind::corrupt);
    }
    const std::string_view rest = bytes.substr(step->consumed);
    if (!rest.empty()) {
        std::memcpy(in.space(rest.size()).data(), rest.data(), rest.size());
        in.commit(rest.size());
    }
    piece = step->body;
    co_return got;
}

/// Parse what is there, up to a piece of the body.
Result<void> ClientConnection::State::advance() {
    while (piece.empty() && !parser.message_done()) {
        auto step = parser.step(in.view());
        if (!step) {
            return std::move(step).error().with_kind(ErrorKind::corrupt);
        }
        in.consume(step->consumed);
        piece = step->body;
        if (step->consumed == 0 && piece.empty()) {
            break;
        }
    }
    return ok;
}

Task<void> ClientConnection::State::read_head() {
    int interim_heads = 0;
    for (;;) {
        CO_CHECK(advance());
        if (parser.head_done()) {
            const ResponseHead& head = parser.response();
            if (head.status / 100 != 1 || head.status == 101) {
                co_return ok;
            }
            if (++interim_heads > limits::http_interim_heads_max) {
                co_return Error(ErrorKind::corrupt, "the server sends no final response");
            }
            // An interim answer: the real one follows, to the same request.
            parser.next(parser.without_body());
            continue;
        }
        CO_TRY(const std::size_t got, co_await fill(InBuffer::small_bytes / 2));
        if (got == 0) {
            co_return Error(ErrorKind::unavailable, "the connection ended before a response");
        }
    }
}

Task<std::size_t> ClientConnection::State::read_body(std::span<char> buffer) {
    assert(!buffer.empty());
    for (;;) {
        if (Result<void> advanced = advance(); !advanced) {
            broken = true;
            co_return std::move(advanced).error();
        }
        if (!piece.empty()) {
            const std::size_t count = std::min(buffer.size(), piece.size());
            std::memmove(buffer.data(), piece.data(), count);  // It may be there already.
            piece.remove_prefix(count);
            if (piece.empty()) {
                CO_CHECK(advance());  // So that the end is known with the last byte.
            }
            co_return count;
        }
        if (parser.message_done()) {
            co_return std::size_t{0};
        }
        Result<std::size_t> got = std::size_t{0};
        if (in.empty() && buffer.size() >= direct_bytes_min) {
            got = co_await fill_directly(buffer.first(std::min(buffer.size(), direct_bytes_max)));
        } else {
            got = co_await fill(limits::stream_read_bytes);
        }
        if (got && *got == 0) {
            Result<void> finished = parser.finish();
            if (finished) {
                continue;
            }
            got = std::move(finished).error();
        }
        if (!got) {
            broken = true;
            co_return std::move(got).error();
        }
    }
}

Task<std::string> ClientConnection::State::read_body_all(std::size_t bytes_max) {
    std::string body;
    std::size_t size = 0;
    const std::uint64_t stated = parser.content_length().value_or(0);
    // One byte more than is expected, so that the end is seen without another growth.
    body.resize(std::max<std::size_t>(std::min<std::uint64_t>(stated, bytes_max) + 1, 1024));
    for (;;) {
        CO_TRY(const std::size_t got, co_await read_body(std::span<char>(body).subspan(size)));
        size += got;
        if (size > bytes_max || stated > bytes_max) {
            co_return Error(ErrorKind::resource_exhausted,
                            "the response is larger than " + std::to_string(bytes_max) + " bytes");
        }
        if (got == 0) {
            break;
        }
        if (size == body.size()) {
            body.resize(size * 2);
        }
    }
    body.resize(size);
    co_return std::move(body);
}

Result<ClientHijacked> ClientConnection::State::hijack() {
    const int status = parser.response().status;
    if (broken || !stream || !(status == 101 || (status == 200 && parser.until_end()))) {
        return Error(ErrorKind::invalid_argument, "the server did not hand over its connection");
    }
    ClientHijacked taken;
    taken.buffered.append(piece).append(in.view());
    taken.stream = std::move(stream);
    return taken;
}

ClientConnection::ClientConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}

ClientConnection::~ClientConnection() = default;

std::unique_ptr<ClientConnection> ClientConnection::over(std::unique_ptr<ByteStream> stream,
                                                         ClientOptions options) {
    auto state = std::make_unique<State>(std::move(stream), options);
    return std::unique_ptr<ClientConnection>(new ClientConnection(std::move(state)));
}

Task<std::unique_ptr<ClientConnection>> ClientConnection::connect_unix(std::string path,
                                                                       ClientOptions options) {
    CO_TRY(auto stream, co_await davit::connect_unix(std::move(path)));
    co_return over(std::move(stream), options);
}

Task<ClientResponse> ClientConnection::send(ClientRequest request) {
    CO_CHECK(co_await state_->exchange(request));
    ClientResponse response;
    response.connection_ = this;
    response.head = std::move(state_->parser.response());
    co_return std::move(response);
}

bool ClientConnection::reusable() const {
    return state_->reusable();
}

ClientResponse::ClientResponse() = default;

ClientResponse::ClientResponse(ClientResponse&& other) noexcept
    : head(std::move(other.head)),
      connection_(std::exchange(other.connection_, nullptr)),
      lease_(std::move(other.lease_)) {}

ClientResponse& ClientResponse::operator=(ClientResponse&& other) noexcept {
    if (this != &other) {
        head = std::move(other.head);
        connection_ = std::exchange(other.connection_, nullptr);
        lease_ = std::move(other.lease_);
    }
    return *this;
}

ClientResponse::~ClientResponse() = default;

Task<std::size_t> ClientResponse::read_body(std::span<char> buffer) {
    if (connection_ == nullptr) {
        co_return std::size_t{0};
    }
    Result<std::size_t> got = co_await connection_->state_->read_body(buffer);
    if (lease_ && got && *got == 0) {
        connection_ = nullptr;
        lease_.reset();  // Others may use the connection now.
    }
    co_return got;
}

Task<std::string> ClientResponse::read_body_all(std::size_t bytes_max) {
    if (connection_ == nullptr) {
        co_return std::string();
    }
    Result<std::string> body = co_await connection_->state_->read_body_all(bytes_max);
    if (lease_ && body) {
        connection_ = nullptr;
        lease_.reset();
    }
    co_return body;
}

std::optional<std::uint64_t> ClientResponse::body_bytes() const {
    const std::string* text = head.headers.find("Content-Length");
    if (text == nullptr || head.headers.contains("Transfer-Encoding")) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    const char* end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, value);
    return parsed.ec == std::errc() && parsed.ptr == end ? std::optional(value) : std::nullopt;
}

Result<ClientHijacked> ClientResponse::hijack() {
    if (connection_ == nullptr) {
        return Error(ErrorKind::invalid_argument, "the server did not hand over its connection");
    }
    return connection_->state_->hijack();
}

}  // namespace davit
