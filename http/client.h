#pragma once
/// The HTTP/1.1 client: ClientConnection over one stream (the CLI), HttpClient with a pool, TLS and
/// DNS (the registry client). Redirects and authentication are their callers' business.
///
/// A body that ends before its length, its last chunk or a clean TLS end is an error, never a short
/// success.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/url.h"
#include "reactor/base/clock.h"
#include "reactor/task.h"

namespace davit {

class ByteStream;
class ClientConnection;

struct ClientRequest {
    std::string method = "GET";
    /// Path and query. HttpClient::send() fills it in from its Url.
    std::string target = "/";
    /// Host, Content-Length, Transfer-Encoding and Connection are added where missing.
    Headers headers;
    std::string body;

    /// The body in pieces instead of `body`: fills its buffer, 0 at the end. Chunked unless
    /// body_bytes says how long it is.
    using Producer = std::function<Task<std::size_t>(std::span<char>)>;
    Producer producer;
    std::optional<std::uint64_t> body_bytes;

    /// Ask for this protocol ("tcp", "h2c"): Connection: Upgrade. See ClientResponse::hijack().
    std::string upgrade;
};

/// A connection that left HTTP: buffered was read beyond the head and comes first.
struct ClientHijacked {
    std::unique_ptr<ByteStream> stream;
    std::string buffered;
};

/// A response whose body is read from its connection. Movable. Must not outlive the
/// ClientConnection that gave it (one of an HttpClient owns its connection, and gives it back to
/// the pool when the body was read to the end).
class ClientResponse {
  public:
    ResponseHead head;

    ClientResponse(ClientResponse&&) noexcept;
    ClientResponse& operator=(ClientResponse&&) noexcept;
    ~ClientResponse();

    int status() const { return head.status; }

    /// At least one byte of the body into buffer; 0 at its end. Errors: unavailable when the peer
    /// goes away early; corrupt for bad framing; timed_out; cancelled.
    Task<std::size_t> read_body(std::span<char> buffer);

    /// The rest of the body. Errors: as read_body(); resource_exhausted beyond bytes_max.
    Task<std::string> read_body_all(std::size_t bytes_max);

    /// The body's whole length where the peer said so.
    std::optional<std::uint64_t> body_bytes() const;

    /// Take the connection over: after a 101, or a 200 with a body up to the connection's end.
    /// Errors: invalid_argument for any other response.
    Result<ClientHijacked> hijack();

  private:
    friend class ClientConnection;
    friend class HttpClient;
    struct Lease;

    ClientResponse();

    ClientConnection* connection_ = nullptr;
    std::unique_ptr<Lease> lease_;
};

struct ClientOptions {
    /// No byte read or written for this long: timed_out. Zero: wait for ever.
    Nanoseconds stall_timeout{};
    std::size_t header_bytes_max = 256 * 1024;
};

class ClientConnection {
  public:
    /// Errors: as davit::connect_unix().
    static Task<std::unique_ptr<ClientConnection>> connect_unix(std::string path,
                                                                ClientOptions options = {});

    static std::unique_ptr<ClientConnection> over(std::unique_ptr<ByteStream> stream,
                                                  ClientOptions options = {});

    ~ClientConnection();
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    /// Send a request and read the response's head; 1xx but 101 are skipped. The response before
    /// must have been read to its end, else the connection is not reusable().
    /// Errors: unavailable (the peer closed), corrupt (not HTTP), timed_out, cancelled, the
    /// producer's.
    Task<ClientResponse> send(ClientRequest request);

    /// Another request may follow: the last response was read whole and neither side closes.
    bool reusable() const;

  private:
    friend class ClientResponse;
    friend class HttpClient;
    struct State;

    explicit ClientConnection(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

struct HttpClientOptions {
    std::string user_agent = "davit/" DAVIT_VERSION;
    /// Each of: resolving the name, the TCP handshake with one address, the TLS handshake.
    Nanoseconds connect_timeout = std::chrono::seconds(15);
    /// No byte for this long: timed_out.
    Nanoseconds stall_timeout = std::chrono::seconds(60);
    std::size_t idle_connections_max = 16;
    Nanoseconds idle_timeout = std::chrono::seconds(60);
    /// PEM files trusted besides the system's.
    std::vector<std::string> ca_files;
    /// <directory>/<host[:port]>/ has a server's certificates (http/host_certificates.h), "" has
    /// none. Read whenever a connection is made, but not for insecure hosts, as with Docker.
    std::string certs_directory = "/etc/docker/certs.d";
    /// Whose certificate is not verified: see HostRules.
    std::vector<std::string> insecure_hosts;
    /// Honour HTTP_PROXY, HTTPS_PROXY and NO_PROXY (and their lower-case forms) of the environment.
    bool proxy_from_environment = true;
};

class HttpClient {
  public:
    explicit HttpClient(HttpClientOptions options = {});
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// Send to the url's host on an idle or a new connection; a request without a producer is tried
    /// again if an idle connection turns out to be closed (an idempotent one, that is).
    /// Errors: as ClientConnection::send(); unavailable (no such host, nobody listens, TLS failed);
    /// corrupt for a certificate that does not verify; invalid_argument for unusable files of the
    /// certs_directory.
    Task<ClientResponse> send(Url url, ClientRequest request);

    std::size_t idle_connections() const;

  private:
    friend class ClientResponse;
    struct State;

    std::shared_ptr<State> state_;
};

}  // namespace davit
