#pragma once
/// The inside of a ClientConnection, for client.cc and http_client.cc. Internal.
#include "http/client.h"
#include "http/codec.h"
#include "reactor/stream.h"

namespace davit {

struct ClientConnection::State {
    State(std::unique_ptr<ByteStream> on, ClientOptions with)
        : stream(std::move(on)),
          options(with),
          parser(MessageParser::Type::response, with.header_bytes_max) {}

    /// Write a request and read the response's head into parser.
    Task<void> exchange(const ClientRequest& request);

    Task<std::size_t> read_body(std::span<char> buffer);
    Task<std::string> read_body_all(std::size_t bytes_max);
    Result<ClientHijacked> hijack();

    bool reusable() const {
        return stream && !broken && parser.message_done() && piece.empty() && in.empty() &&
               (!begun || parser.keep_alive());
    }

    std::unique_ptr<ByteStream> stream;
    ClientOptions options;
    InBuffer in;
    MessageParser parser;
    /// A part of the body that was not taken yet: inside `in`, or while read_body() runs inside the
    /// reader's buffer.
    std::string_view piece;
    bool begun = false;
    /// An exchange or a body failed half-way: the stream's position is unknown.
    bool broken = false;

  private:
    Task<void> write_head(const ClientRequest& request);
    Task<void> write_body(const ClientRequest& request);
    Task<void> write(std::string_view bytes);
    Task<void> read_head();
    Task<std::size_t> receive(std::span<char> space);
    Task<std::size_t> fill(std::size_t bytes_min);
    Task<std::size_t> fill_directly(std::span<char> buffer);
    Result<void> advance();

    /// The failure, if any, was the request's own: its target's or its producer's.
    bool request_failed = false;
};

/// Where a ClientResponse of an HttpClient has its connection from.
struct ClientResponse::Lease {
    std::weak_ptr<HttpClient::State> client;
    std::string key;
    /// The socket under the connection's stream; lives as long as that.
    int fd = -1;
    std::unique_ptr<ClientConnection> connection;

    ~Lease();
};

}  // namespace davit
