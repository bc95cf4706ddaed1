#include "http/tls.h"

#include <arpa/inet.h>

#include <cassert>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "http/host_rules.h"
#include "reactor/base/limits.h"

namespace davit {

namespace {

constexpr unsigned char alpn[] = "\x08http/1.1";

template <auto Free>
struct Deleter {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};

using ContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

/// What OpenSSL says about its last failure; empties its queue.
std::string openssl_text() {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
    return reason != nullptr ? reason : "unknown failure";
}

/// An encrypted key is an error: nobody is there to be asked for its password.
int password_none(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
    return -1;
}

/// The issuer is nobody that is trusted here: more trust would help.
bool is_unknown_authority(long verdict) {
    return verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

Error file_error(std::string_view what, const std::string& file) {
    std::string message = std::string(what) + " " + file + ": " + openssl_text();
    return Error(ErrorKind::invalid_argument, std::move(message));
}

ContextPtr context_make(const SSL_METHOD* method) {
    ContextPtr context(SSL_CTX_new(method));
    assert(context);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    // Renegotiation would make a write wait for a read.
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                         SSL_MODE_RELEASE_BUFFERS);
    return context;
}

int alpn_select(SSL* /*ssl*/,
                const unsigned char** out,
                unsigned char* out_size,
                const unsigned char* in,
                unsigned in_size,
                void* /*context*/) {
    unsigned char* chosen = nullptr;
    const int result =
        SSL_select_next_proto(&chosen, out_size, alpn, sizeof(alpn) - 1, in, in_size);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

BioPtr bio_of(const std::string& pem) {
    return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

/// All certificates of a PEM text. Errors: invalid_argument (none, or a malformed one).
Result<std::vector<X509Ptr>> certificates_of(std::string_view what, const PemFile& file) {
    std::vector<X509Ptr> certificates;
    const BioPtr bio = bio_of(file.text);
    ERR_clear_error();
    while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, password_none, nullptr)) {
        certificates.emplace_back(next);
    }
    const unsigned long last = ERR_peek_last_error();
    const bool at_end =
        ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (certificates.empty() || !at_end) {
        return file_error(what, file.path);
    }
    ERR_clear_error();
    return certificates;
}

}  // namespace

struct TlsContext::ClientKey {
    std::vector<X509Ptr> certificates;  // The client's own first.
    KeyPtr key;

    static Result<ClientKey> make(const PemPair& pair) {
        ClientKey client;
        TRY(client.certificates, certificates_of("read client certificate", pair.certificate));
        const BioPtr bio = bio_of(pair.key.text);
        client.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, password_none, nullptr));
        if (!client.key) {
            return file_error("read client key", pair.key.path);
        }
        if (X509_check_private_key(client.certificates.front().get(), client.key.get()) != 1) {
            return file_error("use client certificate " + pair.certificate.path + " with key",
                              pair.key.path);
        }
        return client;
    }

    bool issued_by(const STACK_OF(X509_NAME) * names) const {
        for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
            for (const X509Ptr& certificate : certificates) {
                const X509_NAME* issuer = X509_get_issuer_name(certificate.get());
                if (X509_NAME_cmp(issuer, sk_X509_NAME_value(names, i)) == 0) {
                    return true;
                }
            }
        }
        return false;
    }

    bool use(SSL* ssl) const {
        // The stack is copied, and its certificates are counted.
        STACK_OF(X509)* chain = sk_X509_new_null();
        for (std::size_t i = 1; i < certificates.size(); ++i) {
            sk_X509_push(chain, certificates[i].get());
        }
        const int used = SSL_use_cert_and_key(ssl, certificates.front().get(), key.get(), chain, 1);
        sk_X509_free(chain);
        return used == 1;
    }
};

TlsContext::TlsContext(ssl_ctx_st* context) : context_(context) {}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

/// Called when a server asks for a certificate. Follows: SSL_CTX_set_cert_cb(3).
int TlsContext::client_choose(ssl_st* ssl, void* self) {
    const std::vector<ClientKey>& clients = static_cast<TlsContext*>(self)->clients_;
    const STACK_OF(X509_NAME)* names = SSL_get0_peer_CA_list(ssl);
    for (const ClientKey& client : clients) {
        if (client.issued_by(names)) {
            return client.use(ssl) ? 1 : 0;
        }
    }
    return clients.front().use(ssl) ? 1 : 0;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
    ContextPtr context = context_make(TLS_client_method());
    std::shared_ptr<TlsContext> made(new TlsContext(nullptr));
    SSL_CTX_set_alpn_protos(context.get(), alpn, sizeof(alpn) - 1);
    SSL_CTX_set_verify(
        context.get(), options.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    if (!options.insecure) {
        SSL_CTX_set_default_verify_paths(context.get());
        for (const std::string& file : options.ca_files) {
            if (SSL_CTX_load_verify_file(context.get(), file.c_str()) != 1) {
                return file_error("read CA certificates", file);
            }
        }
        for (const PemFile& file : options.authorities) {
            TRY(const std::vector<X509Ptr> certificates,
                certificates_of("read CA certificates", file));
            for (const X509Ptr& certificate : certificates) {
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), certificate.get());
            }
        }
    }
    for (const PemPair& pair : options.clients) {
        TRY(TlsContext::ClientKey client, TlsContext::ClientKey::make(pair));
        made->clients_.push_back(std::move(client));
    }
    if (!made->clients_.empty()) {
        SSL_CTX_set_cert_cb(context.get(), client_choose, made.get());
    }
    ERR_clear_error();
    made->context_ = context.release();
    made->directory_ = options.directory;
    made->insecure_ = options.insecure;
    return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string& certificate_pem,
                                                       const std::string& key_pem,
                                                       const std::string& client_ca_pem) {
    ContextPtr context = context_make(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(context.get(), alpn_select, nullptr);
    const BioPtr certificates = bio_of(certificate_pem);
    const X509Ptr leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context.get(), leaf.get()) != 1) {
        return file_error("read certificate", "of the server");
    }
    while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
        SSL_CTX_add0_chain_cert(context.get(), next);
    }
    const BioPtr keys = bio_of(key_pem);
    const KeyPtr key(PEM_read_bio_PrivateKey(keys.get(), nullptr, nullptr, nullptr));
    if (!key || SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
        return file_error("read key", "of the server");
    }
    if (!client_ca_pem.empty()) {
        const BioPtr authorities = bio_of(client_ca_pem);
        const X509Ptr authority(PEM_read_bio_X509(authorities.get(), nullptr, nullptr, nullptr));
        if (!authority ||
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority.get()) != 1) {
            return file_error("read CA certificate", "for clients");
        }
        SSL_CTX_add_client_CA(context.get(), authority.get());
        SSL_CTX_set_verify(
            context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    ERR_clear_error();
    return std::shared_ptr<TlsContext>(new TlsContext(context.release()));
}

TlsStream::TlsStream(std::unique_ptr<ByteStream> stream,
                     std::shared_ptr<TlsContext> context,
                     ssl_st* ssl)
    : stream_(std::move(stream)), context_(std::move(context)), ssl_(ssl) {
    SSL_set0_rbio(ssl_, BIO_new(BIO_s_mem()));
    SSL_set0_wbio(ssl_, BIO_new(BIO_s_mem()));
}

TlsStream::~TlsStream() {
    SSL_free(ssl_);
}

Task<std::unique_ptr<TlsStream>> TlsStream::connect(std::unique_ptr<ByteStream> stream,
                                                    std::shared_ptr<TlsContext> context,
                                                    std::string host) {
    SSL* ssl = SSL_new(context->context_);
    assert(ssl != nullptr);
    std::unique_ptr<TlsStream> tls(new TlsStream(std::move(stream), std::move(context), ssl));
    if (is_ip_address(host)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        SSL_set1_host(ssl, host.c_str());
        // SSL_set_tlsext_host_name without its macro's old-style cast. OpenSSL copies the name.
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data());
    }
    SSL_set_connect_state(ssl);
    Result<void> shaken = co_await tls->handshake();
    if (!shaken) {
        co_return std::move(shaken).error().context("TLS handshake with " + host);
    }
    co_return std::move(tls);
}

Task<std::unique_ptr<TlsStream>> TlsStream::accept(std::unique_ptr<ByteStream> stream,
                                                   std::shared_ptr<TlsContext> context) {
    SSL* ssl = SSL_new(context->context_);
    assert(ssl != nullptr);
    std::unique_ptr<TlsStream> tls(new TlsStream(std::move(stream), std::move(context), ssl));
    SSL_set_accept_state(ssl);
    CO_CHECK(co_await tls->handshake());
    co_return std::move(tls);
}

Task<void> TlsStream::handshake() {
    for (;;) {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_);
        if (result == 1) {
            co_return co_await flush();
        }
        if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
            Error error = handshake_error();
            static_cast<void>(co_await flush());  // The alert that tells the peer why.
            co_return error;
        }
        CO_CHECK(co_await flush());
        CO_TRY(const bool more, co_await feed());
        if (!more) {
            co_return Error(ErrorKind::unavailable, "the connection ended");
        }
    }
}

Error TlsStream::handshake_error() const {
    const long verdict = SSL_get_verify_result(ssl_);
    if (verdict != X509_V_OK && !context_->insecure_) {
        ERR_clear_error();
        const std::string why = X509_verify_cert_error_string(verdict);
        if (!is_unknown_authority(verdict)) {
            return Error(ErrorKind::corrupt, "certificate: " + why);
        }
        std::string message = "certificate signed by unknown authority (" + why + ")";
        if (!context_->directory_.empty()) {
            message += ": the CA's certificate is missing in " + context_->directory_ + "/*.crt";
        }
        return Error(ErrorKind::corrupt, std::move(message));
    }
    return failure();
}

/// What OpenSSL says. A server that misses our certificate says so after TLS 1.3's handshake.
Error TlsStream::failure() const {
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    std::string message = "TLS: " + openssl_text();
    if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED && !context_->directory_.empty()) {
        message += ": no client certificate (*.cert, *.key) in " + context_->directory_;
    }
    return Error(ErrorKind::unavailable, std::move(message));
}

/// Write what OpenSSL has ready. Only the writer (or the handshake) does this: an answer that a
/// read produces (a key update) waits for the next write, as TLS allows.
Task<void> TlsStream::flush() {
    BIO* ready = SSL_get_wbio(ssl_);
    while (const std::size_t pending = BIO_ctrl_pending(ready)) {
        out_.resize(pending);
        BIO_read(ready, out_.data(), static_cast<int>(pending));
        CO_CHECK(co_await stream_->write(out_));
    }
    co_return ok;
}

/// Read from the stream once, for OpenSSL. False at its end.
Task<bool> TlsStream::feed() {
    in_.resize(limits::stream_read_bytes);
    CO_TRY(const std::size_t got, co_await stream_->read(in_));
    BIO_write(SSL_get_rbio(ssl_), in_.data(), static_cast<int>(got));
    co_return got > 0;
}

Task<std::size_t> TlsStream::read(std::span<char> buffer) {
    assert(!buffer.empty());
    for (;;) {
        ERR_clear_error();
        std::size_t got = 0;
        const int result = SSL_read_ex(ssl_, buffer.data(), buffer.size(), &got);
        if (result == 1) {
            co_return got;
        }
        const int why = SSL_get_error(ssl_, result);
        if (why == SSL_ERROR_ZERO_RETURN) {
            co_return std::size_t{0};
        }
        if (why != SSL_ERROR_WANT_READ) {
            co_return failure();
        }
        CO_TRY(const bool more, co_await feed());
        if (!more) {
            co_return Error(ErrorKind::unavailable, "TLS: the connection was cut off");
        }
    }
}

Task<void> TlsStream::write(std::string_view bytes) {
    while (!bytes.empty()) {
        // A few records, then one write: memory stays bounded, and system calls few.
        std::string_view part = bytes.substr(0, limits::stream_read_bytes);
        bytes.remove_prefix(part.size());
        while (!part.empty()) {
            ERR_clear_error();
            std::size_t done = 0;
            if (SSL_write_ex(ssl_, part.data(), part.size(), &done) != 1) {
                co_return failure();
            }
            part.remove_prefix(done);
        }
        CO_CHECK(co_await flush());
    }
    co_return ok;
}

Task<void> TlsStream::shutdown_write() {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    CO_CHECK(co_await flush());
    co_return co_await stream_->shutdown_write();
}

}  // namespace davit
