// Goal: TLS carries bytes and refuses what it should; HttpClient pools, resolves, proxies and
// verifies. Method: certificates made here, servers on 127.0.0.1.
#include "http/tls.h"

#include <cstdlib>

#include "http/client.h"
#include "http/resolver.h"
#include "http/server.h"
#include "reactor/listener.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"
#include "tests/unit/http/tls_server.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

/// Fetch https://host:port/ twice from a server with this certificate.
Result<std::string> fetch_over_tls(TlsServer& server, HttpClientOptions options, std::string host) {
    auto body = [](TlsServer& at, HttpClientOptions with, std::string name) -> Task<std::string> {
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        TaskGroup group(GroupPolicy::independent);
        group.spawn(TlsServer::serve(at, listener));
        const std::string url = "https://" + name + ":" + std::to_string(listener.port()) + "/";
        Result<std::string> result = std::string();
        {
            HttpClient client(std::move(with));
            result = co_await fetch(client, url);
            if (result) {
                result = co_await fetch(client, url);
            }
        }
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return result;
    };
    Loop loop;
    return loop.run(body(server, std::move(options), std::move(host)));
}

HttpClientOptions trusting() {
    HttpClientOptions options;
    options.ca_files = {Authority::get().root_file};
    options.certs_directory = "";
    options.connect_timeout = 10s;
    return options;
}

}  // namespace

TEST_CASE("a certificate that verifies is accepted, by name and by address", "[tls]") {
    for (const char* host : {"localhost", "127.0.0.1"}) {
        INFO(host);
        TlsServer server = server_with(Authority::get().good);
        const auto fetched = fetch_over_tls(server, trusting(), host);
        REQUIRE(fetched);
        CHECK(*fetched == "secret");
        CHECK(server.connections == 1);  // The second request went over the same connection.
    }
}

TEST_CASE("certificates that do not verify are refused", "[tls]") {
    const Authority& authority = Authority::get();
    const auto kind_of = [](const Certificate& certificate, HttpClientOptions options) {
        TlsServer server = server_with(certificate);
        const auto fetched = fetch_over_tls(server, std::move(options), "127.0.0.1");
        return fetched ? "accepted" : std::string(error_kind_name(fetched.error().kind()));
    };
    HttpClientOptions system_only = trusting();
    system_only.ca_files.clear();
    CHECK(kind_of(authority.good, system_only) == "corrupt");
    CHECK(kind_of(authority.other, trusting()) == "corrupt");
    CHECK(kind_of(authority.expired, trusting()) == "corrupt");
    CHECK(kind_of(certificate_make({"self", "IP:127.0.0.1", false, 1}), trusting()) == "corrupt");
    for (const char* rule : {"127.0.0.1", "127.0.0.0/8"}) {
        HttpClientOptions insecure = system_only;
        insecure.insecure_hosts = {rule};
        CHECK(kind_of(authority.expired, insecure) == "accepted");
    }
    HttpClientOptions broken = trusting();
    broken.ca_files = {"/nonexistent.pem"};
    CHECK(kind_of(authority.good, broken) == "invalid_argument");
}

TEST_CASE("a body that ends with the connection needs a clean TLS end", "[tls]") {
    TlsServer server = server_with(Authority::get().good);
    server.answer = "HTTP/1.1 200 OK\r\n\r\npart";
    const auto whole = fetch_over_tls(server, trusting(), "localhost");
    CHECK((whole && *whole == "part"));
    server.clean_end = false;
    const auto cut = fetch_over_tls(server, trusting(), "localhost");
    REQUIRE(!cut);
    CHECK(cut.error().kind() == ErrorKind::unavailable);
}

TEST_CASE("TLS carries megabytes both ways at once", "[tls]") {
    auto body = []() -> Task<void> {
        const Authority& authority = Authority::get();
        CO_TRY(StreamPair pair, stream_pair_make());
        TlsClientOptions options;
        options.ca_files = {authority.root_file};
        CO_TRY(auto client_context, TlsContext::client(options));
        CO_TRY(auto server_context,
               TlsContext::server(authority.good.certificate_pem, authority.good.key_pem));
        CO_TRY(auto ends,
               co_await when_both(
                   TlsStream::connect(std::move(pair.first), client_context, "localhost"),
                   TlsStream::accept(std::move(pair.second), server_context)));
        auto write = [](ByteStream& stream, std::string data) -> Task<void> {
            CO_CHECK(co_await stream.write(data));
            co_return co_await stream.shutdown_write();
        };
        auto read = [](ByteStream& stream, const std::string& expected) -> Task<void> {
            CO_TRY(const std::string all, co_await read_to_end(stream));
            CHECK(all == expected);
            co_return ok;
        };
        const std::string there(3'000'000, 't');
        const std::string back(2'000'000, 'b');
        TaskGroup group;
        group.spawn(write(*ends.first, there));
        group.spawn(write(*ends.second, back));
        group.spawn(read(*ends.first, back));
        group.spawn(read(*ends.second, there));
        co_return co_await group.join();
    };
    Loop loop;
    CHECK(loop.run(body()));
}

namespace {

/// Run client(port) beside an HttpServer on a TCP port.
using PortClient = std::function<Task<void>(std::uint16_t)>;

Result<void> with_tcp_server(Handler handler, ServerOptions options, PortClient client) {
    auto body = [](Handler answer, ServerOptions with, PortClient run) -> Task<void> {
        HttpServer server(std::move(answer), std::move(with));
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server.serve(listener));
        Task<void> task = run(listener.port());
        Result<void> result = co_await std::move(task);
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return result;
    };
    Loop loop;
    return loop.run(body(std::move(handler), std::move(options), std::move(client)));
}

}  // namespace

TEST_CASE("the pool reuses connections, and drops those the server closed", "[client]") {
    auto client = [](std::uint16_t port) -> Task<void> {
        HttpClientOptions options;
        options.idle_connections_max = 2;
        HttpClient pool(options);
        const std::string url = "http://localhost:" + std::to_string(port) + "/a?b";
        for (int i = 0; i < 5; ++i) {
            CO_TRY(const std::string body, co_await fetch(pool, url));
            CHECK(body == "GET /a?b ");
            CHECK(pool.idle_connections() == 1);
        }
        {
            // Three at a time: two are kept.
            CO_TRY(const Url parsed, Url::parse(url));
            std::vector<ClientResponse> open;
            for (int i = 0; i < 3; ++i) {
                ClientRequest request;
                CO_TRY(ClientResponse response, co_await pool.send(parsed, std::move(request)));
                open.push_back(std::move(response));
            }
            CHECK(pool.idle_connections() == 0);
            for (ClientResponse& response : open) {
                CO_TRY(const std::string body, co_await response.read_body_all(100));
                CHECK(body == "GET /a?b ");
            }
            CHECK(pool.idle_connections() == 2);
            ClientRequest request;
            CO_TRY(ClientResponse unread, co_await pool.send(parsed, std::move(request)));
            CHECK(pool.idle_connections() == 1);
        }
        CHECK(pool.idle_connections() == 1);  // The one whose body was not read is gone.
        CO_CHECK(co_await sleep_for(60ms));   // The server closes idle connections.
        CO_TRY(const std::string again, co_await fetch(pool, url));
        CHECK(again == "GET /a?b ");
        co_return ok;
    };
    ServerOptions options;
    options.idle_timeout = 30ms;
    CHECK(with_tcp_server(echo, options, client));
}

TEST_CASE("idle connections are closed after a while", "[client]") {
    auto client = [](std::uint16_t port) -> Task<void> {
        HttpClientOptions options;
        options.idle_timeout = 5ms;
        HttpClient pool(options);
        const std::string url = "http://127.0.0.1:" + std::to_string(port) + "/";
        CO_TRY(const std::string body, co_await fetch(pool, url));
        while (pool.idle_connections() > 0) {
            CO_CHECK(co_await sleep_for(1ms));
        }
        co_return ok;
    };
    CHECK(with_tcp_server(echo, {}, client));
}

TEST_CASE("unreachable servers and unknown hosts are told apart", "[client]") {
    auto body = []() -> Task<void> {
        HttpClient client;
        const auto refused = co_await fetch(client, "http://127.0.0.1:1/");
        CHECK(refused.error().kind() == ErrorKind::unavailable);
        const auto not_tls = co_await resolve_host("localhost");
        REQUIRE(not_tls);
        CHECK(std::count(not_tls->begin(), not_tls->end(), "127.0.0.1") == 1);
        const auto numeric = co_await resolve_host("2001:db8::1");
        REQUIRE(numeric);
        CHECK(*numeric == std::vector<std::string>{"2001:db8::1"});
        const auto bad = co_await resolve_host(std::string(300, 'x') + ".example");
        CHECK(bad.error().kind() == ErrorKind::internal);
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}

TEST_CASE("a plain server where TLS was expected is an error, not a hang", "[tls]") {
    auto client = [](std::uint16_t port) -> Task<void> {
        HttpClient pool;
        const auto failed = co_await fetch(pool, "https://127.0.0.1:" + std::to_string(port) + "/");
        CHECK(failed.error().kind() == ErrorKind::unavailable);
        co_return ok;
    };
    CHECK(with_tcp_server(echo, {}, client));
}

namespace {

/// Forwards CONNECT to a fixed port, and answers plain requests itself with the target it saw.
Task<void> proxy_handler(ServerRequest& request, ServerResponse& response, std::uint16_t port) {
    const std::string seen = request.head().target + " " +
                             std::string(request.head().headers.get("Proxy-Authorization"));
    if (request.head().method != "CONNECT") {
        co_return co_await response.send(200, "", seen);
    }
    if (seen.find("localhost.example:443 Basic dXNlcjpwdw==") != 0) {
        co_return co_await response.send(403, "", seen);
    }
    CO_TRY(auto upstream, co_await connect_tcp("127.0.0.1", port));
    CO_TRY(Hijacked taken, co_await response.hijack("", "tunnel"));
    auto copy = [](ByteStream& from, ByteStream& to, std::string first) -> Task<void> {
        if (!first.empty()) {
            CO_CHECK(co_await to.write(first));
        }
        std::vector<char> buffer(16384);
        for (;;) {
            CO_TRY(const std::size_t got, co_await from.read(buffer));
            if (got == 0) {
                co_return co_await to.shutdown_write();
            }
            CO_CHECK(co_await to.write({buffer.data(), got}));
        }
    };
    TaskGroup group;
    group.spawn(copy(*taken.stream, *upstream, std::move(taken.buffered)));
    group.spawn(copy(*upstream, *taken.stream, ""));
    co_return co_await group.join();
}

}  // namespace

TEST_CASE("proxies forward http and tunnel https", "[proxy]") {
    auto body = []() -> Task<void> {
        const Authority& authority = Authority::get();
        const Certificate named =
            certificate_make({"named", "DNS:localhost.example", false, 1}, &authority.root);
        TlsServer target = server_with(named);
        CO_TRY(Listener tls_listener, Listener::tcp("127.0.0.1", 0));
        CO_TRY(Listener proxy_listener, Listener::tcp("127.0.0.1", 0));
        HttpServer proxy(
            [port = tls_listener.port()](ServerRequest& request, ServerResponse& response) {
                return proxy_handler(request, response, port);
            },
            {});
        TaskGroup group(GroupPolicy::independent);
        group.spawn(TlsServer::serve(target, tls_listener));
        group.spawn(proxy.serve(proxy_listener));
        const std::string url = "http://user:pw@127.0.0.1:" + std::to_string(proxy_listener.port());
        ::setenv("http_proxy", url.c_str(), 1);
        ::setenv("https_proxy", url.c_str(), 1);
        ::setenv("no_proxy", "", 1);
        {
            HttpClient client(trusting());
            const auto plain = co_await fetch(client, "http://registry.example/v2/?n=1");
            CHECK((plain && *plain == "http://registry.example/v2/?n=1 Basic dXNlcjpwdw=="));
            for (int i = 0; i < 2; ++i) {
                const auto secret = co_await fetch(client, "https://localhost.example/");
                CHECK((secret && *secret == "secret"));
            }
            CHECK(target.connections == 1);
            const auto refused = co_await fetch(client, "https://other.example/");
            CHECK(refused.error().kind() == ErrorKind::unavailable);
        }
        ::unsetenv("http_proxy");
        ::unsetenv("https_proxy");
        ::unsetenv("no_proxy");
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return ok;
    };
    Loop loop;
    CHECK(loop.run(body()));
}
