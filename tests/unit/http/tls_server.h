#pragma once
/// An HTTPS server on loopback, and the certificates that its tests share.
#include <string>

#include "http/client.h"
#include "http/tls.h"
#include "reactor/listener.h"
#include "reactor/task_group.h"
#include "tests/unit/http/http_support.h"
#include "tests/unit/http/tls_support.h"

namespace davit::test {

/// A CA and what it signed; made once.
struct Authority {
    Certificate root = certificate_make({"root", "", true, 1});
    Certificate good = certificate_make({"good", "DNS:localhost,IP:127.0.0.1", false, 1}, &root);
    Certificate other = certificate_make({"other", "DNS:elsewhere.example", false, 1}, &root);
    Certificate expired =
        certificate_make({"expired", "DNS:localhost,IP:127.0.0.1", false, -1}, &root);
    Certificate client = certificate_make({"client", "", false, 1}, &root);
    TempDirectory directory;
    std::string root_file = directory.file("root.pem", root.certificate_pem);

    static const Authority& get() {
        static const Authority authority;
        return authority;
    }
};

/// An HTTPS server as small as can be: one answer per request, and how the connection ends.
struct TlsServer {
    std::shared_ptr<TlsContext> context;
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    bool clean_end = true;
    int connections = 0;

    static Task<void> connection(TlsServer& server, std::unique_ptr<FdStream> stream) {
        ++server.connections;
        CO_TRY(auto tls, co_await TlsStream::accept(std::move(stream), server.context));
        const bool one = server.answer.find("Content-Length") == std::string::npos;
        for (;;) {
            CO_TRY(const std::string head, co_await read_until(*tls, "\r\n\r\n"));
            CO_CHECK(co_await tls->write(server.answer));
            if (one) {
                break;
            }
        }
        if (server.clean_end) {
            CO_CHECK(co_await tls->shutdown_write());
            static_cast<void>(co_await read_to_end(*tls));
        }
        co_return ok;
    }

    static Task<void> serve(TlsServer& server, Listener& listener) {
        TaskGroup group(GroupPolicy::independent);
        for (;;) {
            auto stream = co_await listener.accept();
            if (!stream) {
                break;
            }
            group.spawn(connection(server, *std::move(stream)));
        }
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return ok;
    }
};

inline Task<std::string> fetch(HttpClient& client, std::string url) {
    CO_TRY(Url parsed, Url::parse(url));
    ClientRequest request;
    CO_TRY(ClientResponse response, co_await client.send(std::move(parsed), std::move(request)));
    co_return co_await response.read_body_all(1'000'000);
}

inline TlsServer server_with(const Certificate& certificate, const std::string& client_ca = "") {
    TlsServer server;
    server.context =
        *TlsContext::server(certificate.certificate_pem, certificate.key_pem, client_ca);
    return server;
}

}  // namespace davit::test
