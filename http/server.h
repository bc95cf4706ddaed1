#pragma once
/// HttpServer: HTTP/1.1 (and 1.0) on listening sockets, one coroutine per connection.
///
/// A connection reads one request, runs the handler, and reads the next: pipelined requests wait in
/// the socket. The request body is pulled by the handler; what it leaves unread is skipped, or the
/// connection is closed if that is much. Writes return when the socket has taken the bytes, so a
/// client that does not read holds its handler.
///
/// While a handler waits and its request body was read to the end, the server watches the
/// connection: when the client goes away the handler is cancelled (its awaits give `cancelled`).
///
/// ServerRequest and ServerResponse live until the handler's task ends.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/message.h"
#include "reactor/base/clock.h"
#include "reactor/base/limits.h"
#include "reactor/task.h"

namespace davit {

class FdStream;
class Listener;
class ServerConnection;

class ServerRequest {
  public:
    const RequestHead& head() const;

    /// True unless the request has no body, or an empty one by its Content-Length.
    bool has_body() const;

    /// At least one byte of the body into buffer; 0 at its end. Sends "100 Continue" first if the
    /// client waits for that. Errors: invalid_argument for bad chunks or a body that ends early;
    /// resource_exhausted beyond ServerOptions::body_bytes_max; timed_out when no byte comes;
    /// cancelled.
    Task<std::size_t> read_body(std::span<char> buffer);

    /// The rest of the body. Errors: as read_body(); resource_exhausted beyond bytes_max (the
    /// server answers 413).
    Task<std::string> read_body_all(std::size_t bytes_max = limits::http_json_body_bytes_max);

    /// Connection: Upgrade with this protocol in Upgrade ("tcp", "h2c").
    bool wants_upgrade(std::string_view protocol) const;

    /// The connection's descriptor, for getsockopt(2) of SO_PEERCRED.
    int connection_fd() const;

  private:
    friend class ServerConnection;

    explicit ServerRequest(ServerConnection& connection) : connection_(connection) {}

    ServerConnection& connection_;
};

/// A connection that left HTTP: it belongs to the handler, which reads buffered first and then the
/// stream. The server does not watch it any more.
struct Hijacked {
    std::unique_ptr<FdStream> stream;
    /// What the client had sent after its request and was read already.
    std::string buffered;
};

class ServerResponse {
  public:
    /// Fields sent by send(), begin() or hijack(). Content-Type, Content-Length, Transfer-Encoding,
    /// Connection and Date are the server's.
    Headers& headers();

    /// A whole response. 1xx, 204 and 304 carry no body, and a HEAD request gets none.
    /// content_type "" sends no such field. The views must live until it returns.
    Task<void> send(int status, std::string_view content_type, std::string_view body);

    /// Send the head now; the body follows by write(), chunked (or up to the connection's end for
    /// HTTP/1.0).
    Task<void> begin(int status, std::string_view content_type);

    /// One chunk, in the socket when it returns. Empty ones are not sent.
    Task<void> write(std::string_view bytes);

    /// The last chunk. A handler that returns without error may leave it out.
    Task<void> end();

    /// Answer 101 UPGRADED if the client asked to upgrade to protocol, else 200 with a body up to
    /// the connection's end, and take the connection over. The request body must be read before (it
    /// is skipped otherwise). Follows: API.md 2.5. Errors: invalid_argument for a
    /// body that is still to come; unavailable when the client is gone.
    Task<Hijacked> hijack(std::string_view content_type, std::string_view protocol = "tcp");

    /// True once any byte of the final response was handed to the socket.
    bool started() const;

  private:
    friend class ServerConnection;

    explicit ServerResponse(ServerConnection& connection) : connection_(connection) {}

    ServerConnection& connection_;
};

/// Answers one request. An Error returned before started() is answered by ServerOptions::on_error;
/// afterwards the connection is closed behind what was written. Success without a response is an
/// empty 200.
using Handler = std::function<Task<void>(ServerRequest&, ServerResponse&)>;

struct ErrorResponse {
    int status = 500;
    std::string content_type = "application/json";
    std::string body;
};

struct ServerOptions {
    /// What a handler's Error becomes. Without it: 500, {"message": ...}.
    std::function<ErrorResponse(const Error&)> on_error;
    /// Sent with every response, those to malformed requests included.
    Headers base_headers;
    /// Request line and headers; beyond: 431.
    std::size_t header_bytes_max = limits::http_header_bytes_max;
    /// A bound on any request body; 0 is none. Beyond: 413.
    std::uint64_t body_bytes_max = 0;
    std::size_t connections_max = limits::http_connections_max;
    /// Between two requests.
    Nanoseconds idle_timeout = std::chrono::seconds(limits::http_idle_seconds);
    /// From the first byte of a request to the end of its headers.
    Nanoseconds header_timeout = std::chrono::seconds(limits::http_header_seconds);
    /// Between two reads of a request body.
    Nanoseconds body_timeout = std::chrono::seconds(limits::http_idle_seconds);
};

class HttpServer {
  public:
    HttpServer(Handler handler, ServerOptions options);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Accept and serve until cancelled; then accept no more, cancel the handlers and join them.
    /// Several listeners may be served at a time; they share connections_max.
    Task<void> serve(Listener& listener);

    /// Serve one connection until it ends.
    Task<void> serve_connection(std::unique_ptr<FdStream> stream);

    std::size_t connections() const;

  private:
    struct State;

    std::unique_ptr<State> state_;
};

/// Return when the peer has read everything that was written, or after cap. Some clients read the
/// head of an upgraded response through a buffer and lose what came with it: API.md 2.5,
/// "First-bytes trap".
Task<void> wait_until_drained(FdStream& stream, Nanoseconds cap);

}  // namespace davit
