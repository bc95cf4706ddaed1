#pragma once
/// ApiClient: requests to the daemon, over the connections that one command needs.
///
/// A finished request leaves its connection for the next one; a stream or a hijack keeps its own.
/// No ping comes first: paths name the API version that davit speaks, and a daemon that is older
/// says so in its answer, upon which the request is repeated in the daemon's version.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"

namespace davit::cli {

/// As the server maps kinds to statuses, backwards.
ErrorKind kind_from_status(int status);

/// Where the daemon listens: unix:///path or tcp://host[:port].
struct ApiEndpoint {
    /// As the user wrote it, for messages.
    std::string text;
    /// "" for TCP.
    std::string socket_path;
    std::string host;
    std::uint16_t port = 0;

    /// Errors: invalid_argument.
    static Result<ApiEndpoint> parse(std::string_view text);
};

struct ApiCall {
    std::string method = {};
    /// Without the version: "/containers/json".
    std::string path = {};
    Query query = {};
    /// JSON, or "".
    std::string body = {};
    /// Fields beyond those that the body needs.
    Headers headers = {};
    /// Bytes of the body instead of JSON, sent as a tar stream.
    ClientRequest::Producer producer = {};
};

/// A response whose body is still coming. Movable; closing it is giving the connection up.
class ApiStream {
  public:
    /// At least one byte; 0 at the end.
    Task<std::size_t> read(std::span<char> buffer) { return response_.read_body(buffer); }

    /// The rest. Errors: resource_exhausted beyond the client's bound for JSON.
    Task<std::string> read_all();

    const Headers& headers() const { return response_.head.headers; }

  private:
    friend class ApiClient;

    ApiStream(std::unique_ptr<ClientConnection> connection, ClientResponse response)
        : connection_(std::move(connection)), response_(std::move(response)) {}

    std::unique_ptr<ClientConnection> connection_;
    ClientResponse response_;
};

struct ApiHijacked {
    ClientHijacked connection;
    Headers headers;
};

class ApiClient {
  public:
    /// version: "1.50"; "" for davit's own.
    ApiClient(ApiEndpoint endpoint, std::string version);

    /// Send, and read the whole answer.
    /// Errors: unavailable (no daemon); a refusal has the kind of its status (404: not_found, 409:
    /// conflict, 304: not_modified, ...) and the daemon's message.
    Task<std::string> call(ApiCall call);

    /// As call(), but the body is the caller's to read as it comes.
    Task<ApiStream> open(ApiCall call);

    /// Ask for a raw connection both ways (attach).
    Task<ApiHijacked> hijack(ApiCall call);

    /// Make idle connections ahead of need, as far as that works; gives their number.
    Task<std::size_t> warm(std::size_t count);

    const ApiEndpoint& endpoint() const { return endpoint_; }

    /// The API version that this client speaks where the daemon does too.
    static std::string_view version_max();

  private:
    struct Exchange {
        std::unique_ptr<ClientConnection> connection;
        ClientResponse response;
    };

    Task<std::unique_ptr<ClientConnection>> connect();
    Task<Exchange> exchange(ApiCall call, bool upgrade);
    ClientRequest request_make(ApiCall& call, bool upgrade) const;

    ApiEndpoint endpoint_;
    std::string version_;
    std::vector<std::unique_ptr<ClientConnection>> idle_;
};

}  // namespace davit::cli
