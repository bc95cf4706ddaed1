#pragma once
/// TLS over any ByteStream, through OpenSSL with memory buffers: nothing here touches a descriptor.
///
/// TLS 1.2 at least; server name, ALPN http/1.1. A client verifies chain and host name unless it is
/// told not to. A peer that ends the connection without TLS's own end (close_notify) is an error:
/// the end of a body is never guessed. One reader and one writer at a time may wait, as with any
/// ByteStream.
#include <memory>
#include <string>
#include <vector>

#include "reactor/stream.h"

struct ssl_ctx_st;
struct ssl_st;

namespace davit {

/// A file's text, and its path for messages.
struct PemFile {
    std::string path;
    std::string text;

    bool operator==(const PemFile&) const = default;
};

/// A client certificate, with what it is signed by if the server may not know that, and its key.
struct PemPair {
    PemFile certificate;
    PemFile key;

    bool operator==(const PemPair&) const = default;
};

struct TlsClientOptions {
    /// PEM files trusted besides the system's certificates.
    std::vector<std::string> ca_files;
    /// The same, read already: at least one certificate in each.
    std::vector<PemFile> authorities;
    /// If the server asks: the first whose issuer it names, else the first.
    std::vector<PemPair> clients;
    /// Where users put certificates for this server: messages say so. "" for nowhere.
    std::string directory;
    /// Verify nothing.
    bool insecure = false;
};

/// Keys and trust, shared by connections.
class TlsContext {
  public:
    /// Errors: invalid_argument for files that cannot be read or do not fit each other.
    static Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options);

    /// A server's side: PEM texts. client_ca_pem "" asks clients for no certificate.
    static Result<std::shared_ptr<TlsContext>> server(const std::string& certificate_pem,
                                                      const std::string& key_pem,
                                                      const std::string& client_ca_pem = "");

    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

  private:
    friend class TlsStream;
    struct ClientKey;

    explicit TlsContext(ssl_ctx_st* context);

    static int client_choose(ssl_st* ssl, void* self);

    ssl_ctx_st* context_;
    std::vector<ClientKey> clients_;
    std::string directory_;
    bool insecure_ = false;
};

class TlsStream final : public ByteStream {
  public:
    /// The client's handshake. host: a DNS name or numeric address, which the certificate must
    /// name. Errors: corrupt (the certificate: why), unavailable (the handshake), cancelled.
    static Task<std::unique_ptr<TlsStream>> connect(std::unique_ptr<ByteStream> stream,
                                                    std::shared_ptr<TlsContext> context,
                                                    std::string host);

    /// The server's handshake.
    static Task<std::unique_ptr<TlsStream>> accept(std::unique_ptr<ByteStream> stream,
                                                   std::shared_ptr<TlsContext> context);

    ~TlsStream() override;

    Task<std::size_t> read(std::span<char> buffer) override;
    Task<void> write(std::string_view bytes) override;
    Task<void> shutdown_write() override;

  private:
    TlsStream(std::unique_ptr<ByteStream> stream, std::shared_ptr<TlsContext> context, ssl_st* ssl);

    Task<void> handshake();
    Error handshake_error() const;
    Error failure() const;
    Task<void> flush();
    Task<bool> feed();

    std::unique_ptr<ByteStream> stream_;
    std::shared_ptr<TlsContext> context_;
    ssl_st* ssl_;
    std::string in_;
    std::string out_;
};

}  // namespace davit
