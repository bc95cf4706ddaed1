#include "cli/api_client.h"

#include <fmt/format.h>

#include "cli/units.h"
#include "http/json_reader.h"
#include "http/resolver.h"
#include "reactor/base/limits.h"
#include "reactor/stream.h"

namespace davit::cli {

namespace {

/// The newest API version whose shapes this client sends and reads.
constexpr std::string_view api_version = "1.50";

constexpr std::uint16_t docker_port = 2375;

/// {"message": "..."}, or whatever text it is instead.
std::string refusal_message(int status, std::string_view body) {
    if (Result<JsonDocument> document = JsonDocument::parse(body)) {
        Result<std::string> message = document->root().string_or("message", "");
        if (message && !message->empty()) {
            return *std::move(message);
        }
    }
    while (!body.empty() && (body.back() == '\n' || body.back() == '\r')) {
        body.remove_suffix(1);
    }
    return body.empty() ? status_reason(status) : std::string(body);
}

/// The version that an older daemon names when it refuses ours; "" if that is not what it said.
std::string_view older_version(std::string_view message) {
    constexpr std::string_view marker = "is too new. Maximum supported API version is ";
    const std::size_t place = message.find(marker);
    if (place == std::string_view::npos) {
        return {};
    }
    const std::string_view rest = message.substr(place + marker.size());
    return rest.substr(0, rest.find_first_not_of("0123456789."));
}

Error cannot_connect(const ApiEndpoint& endpoint, const Error& error) {
    if (error.kind() == ErrorKind::cancelled) {
        return error;
    }
    if (error.kind() == ErrorKind::permission_denied) {
        return Error(ErrorKind::unavailable,
                     fmt::format("permission denied while trying to connect to the davit daemon at "
                                 "{}: {}",
                                 endpoint.text,
                                 error.message()));
    }
    return Error(
        ErrorKind::unavailable,
        fmt::format("Cannot connect to the davit daemon at {}. Is the davit daemon running?",
                    endpoint.text));
}

Task<std::unique_ptr<FdStream>> connect_host(std::string host, std::uint16_t port) {
    CO_TRY(const std::vector<std::string> addresses, co_await resolve_host(host));
    std::optional<Error> last;
    for (const std::string& address : addresses) {
        Result<std::unique_ptr<FdStream>> stream = co_await connect_tcp(address, port);
        if (stream || stream.error().kind() == ErrorKind::cancelled) {
            co_return std::move(stream);
        }
        last = std::move(stream).error();
    }
    if (last) {
        co_return *std::move(last);
    }
    co_return Error(ErrorKind::not_found, "no address for " + host);
}

}  // namespace

ErrorKind kind_from_status(int status) {
    switch (status) {
        case 304:
            return ErrorKind::not_modified;
        case 400:
            return ErrorKind::invalid_argument;
        case 401:
            return ErrorKind::unauthorized;
        case 403:
            return ErrorKind::permission_denied;
        case 404:
            return ErrorKind::not_found;
        case 409:
            return ErrorKind::conflict;
        case 501:
            return ErrorKind::unsupported;
        case 503:
            return ErrorKind::unavailable;
        default:
            return ErrorKind::internal;
    }
}

Result<ApiEndpoint> ApiEndpoint::parse(std::string_view text) {
    const auto failed = [text] {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("invalid daemon address: {}: expected unix:///PATH or "
                                 "tcp://HOST[:PORT]",
                                 text));
    };
    ApiEndpoint endpoint;
    endpoint.text = text;
    constexpr std::string_view unix_scheme = "unix://";
    constexpr std::string_view tcp_scheme = "tcp://";
    if (text.starts_with(unix_scheme)) {
        endpoint.socket_path = text.substr(unix_scheme.size());
        if (!endpoint.socket_path.starts_with('/')) {
            return failed();
        }
        return endpoint;
    }
    if (!text.starts_with(tcp_scheme)) {
        return failed();
    }
    std::string_view rest = text.substr(tcp_scheme.size());
    rest = rest.substr(0, rest.find('/'));
    const bool bracketed = rest.starts_with('[');
    const std::size_t host_end = bracketed ? rest.find(']') : rest.find(':');
    if (bracketed && host_end == std::string_view::npos) {
        return failed();
    }
    endpoint.host = bracketed ? rest.substr(1, host_end - 1) : rest.substr(0, host_end);
    rest = host_end == std::string_view::npos ? "" : rest.substr(host_end + (bracketed ? 1 : 0));
    endpoint.port = docker_port;
    if (!rest.empty()) {
        const Result<std::int64_t> port = integer_parse(rest.substr(1));
        if (rest.front() != ':' || !port || *port < 1 || *port > 65535) {
            return failed();
        }
        endpoint.port = static_cast<std::uint16_t>(*port);
    }
    if (endpoint.host.empty()) {
        return failed();
    }
    return endpoint;
}

Task<std::string> ApiStream::read_all() {
    return response_.read_body_all(limits::http_json_body_bytes_max * 8);
}

ApiClient::ApiClient(ApiEndpoint endpoint, std::string version)
    : endpoint_(std::move(endpoint)),
      version_(version.empty() ? std::string(api_version) : std::move(version)) {}

Task<std::unique_ptr<ClientConnection>> ApiClient::connect() {
    if (!endpoint_.socket_path.empty()) {
        auto connection = co_await ClientConnection::connect_unix(endpoint_.socket_path);
        if (!connection) {
            co_return cannot_connect(endpoint_, connection.error());
        }
        co_return *std::move(connection);
    }
    Result<std::unique_ptr<FdStream>> stream =
        co_await connect_host(endpoint_.host, endpoint_.port);
    if (!stream) {
        co_return cannot_connect(endpoint_, stream.error());
    }
    co_return ClientConnection::over(*std::move(stream));
}

Task<std::size_t> ApiClient::warm(std::size_t count) {
    for (std::size_t made = 0; made < count; ++made) {
        Result<std::unique_ptr<ClientConnection>> connection = co_await connect();
        if (!connection) {
            co_return made;
        }
        idle_.push_back(*std::move(connection));
    }
    co_return count;
}

ClientRequest ApiClient::request_make(ApiCall& call, bool upgrade) const {
    ClientRequest request;
    request.method = call.method;
    request.target = fmt::format("/v{}{}", version_, call.path);
    if (!call.query.empty()) {
        request.target += "?" + call.query.text();
    }
    request.headers = call.headers;
    // What "Host" says means nothing to a daemon behind a unix socket, but HTTP wants one.
    request.headers.set("Host", endpoint_.host.empty() ? "localhost" : endpoint_.host);
    if (call.producer) {
        request.headers.set("Content-Type", "application/x-tar");
        request.producer = std::move(call.producer);
    } else if (!call.body.empty()) {
        request.headers.set("Content-Type", "application/json");
        request.body = call.body;
    }
    if (upgrade) {
        request.upgrade = "tcp";
    }
    return request;
}

Task<ApiClient::Exchange> ApiClient::exchange(ApiCall call, bool upgrade) {
    for (;;) {
        std::unique_ptr<ClientConnection> connection;
        if (!idle_.empty()) {
            connection = std::move(idle_.back());
            idle_.pop_back();
        } else {
            CO_TRY(connection, co_await connect());
        }
        const bool repeatable = !call.producer;
        ClientRequest request = request_make(call, upgrade);
        CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
        const int status = response.status();
        if ((status >= 200 && status < 300) || status == 101) {
            Exchange done{std::move(connection), std::move(response)};
            co_return std::move(done);
        }
        CO_TRY(const std::string body,
               co_await response.read_body_all(limits::http_json_body_bytes_max));
        if (connection->reusable()) {
            idle_.push_back(std::move(connection));
        }
        const std::string message = refusal_message(status, body);
        const std::string_view older = older_version(message);
        if (status == 400 && repeatable && !older.empty() && older != version_) {
            version_ = older;
            continue;
        }
        co_return Error(kind_from_status(status), "Error response from daemon: " + message);
    }
}

std::string_view ApiClient::version_max() {
    return api_version;
}

Task<std::string> ApiClient::call(ApiCall call) {
    CO_TRY(ApiStream stream, co_await open(std::move(call)));
    CO_TRY(std::string body, co_await stream.read_all());
    if (stream.connection_->reusable()) {
        idle_.push_back(std::move(stream.connection_));
    }
    co_return std::move(body);
}

Task<ApiStream> ApiClient::open(ApiCall call) {
    CO_TRY(Exchange done, co_await exchange(std::move(call), false));
    co_return ApiStream(std::move(done.connection), std::move(done.response));
}

Task<ApiHijacked> ApiClient::hijack(ApiCall call) {
    CO_TRY(Exchange done, co_await exchange(std::move(call), true));
    ApiHijacked hijacked;
    hijacked.headers = done.response.head.headers;
    CO_TRY(hijacked.connection, done.response.hijack());
    co_return std::move(hijacked);
}

}  // namespace davit::cli
