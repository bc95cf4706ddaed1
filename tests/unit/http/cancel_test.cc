// Goal: TLS, name lookups, the client and the server can be cancelled at each of their awaits, and
// leave nothing open. Method: the same exchange again and again, cancelled in its first turn of the
// loop, its second, and so on, between what the kernel reports and what is resumed by it, until it
// ends uncancelled. Descriptors are counted, and the sanitizers watch the rest.
#include "tests/support/cancel.h"

#include "http/client.h"
#include "http/resolver.h"
#include "http/server.h"
#include "http/tls.h"
#include "reactor/listener.h"
#include "tests/support/catch.h"
#include "tests/unit/http/http_support.h"
#include "tests/unit/http/name_server.h"
#include "tests/unit/http/tls_support.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

/// What one round is told, and tells.
struct Round {
    int turn = 0;
    bool missed = false;
    int cancelled = 0;
};

/// body(round) with the cancellation one turn later each time, until it comes too late.
int sweep(Task<void> (*body)(Round&)) {
    constexpr int turns_max = 2000;
    Round round;
    loop_warm_up();
    while (!round.missed && round.turn < turns_max) {
        ++round.turn;
        INFO("cancelled in turn " << round.turn);
        const std::size_t before = descriptors_open();
        {
            Loop loop;
            const Result<void> done = loop.run(body(round));
            INFO((done ? "" : done.error().message()));
            REQUIRE(done);
        }
        REQUIRE(descriptors_open() == before);
    }
    CHECK(round.turn < turns_max);
    return round.cancelled;
}

/// Run task under the round's cancellation, and check how it ended.
template <typename T>
Task<std::optional<T>> tested(Round& round, Task<T> task) {
    Result<T> result = co_await cancel_in_turn(round.turn, std::move(task), round.missed);
    if (result) {
        co_return std::optional<T>(*std::move(result));
    }
    if (round.missed || result.error().kind() != ErrorKind::cancelled) {
        co_return std::move(result).error().context("tested");
    }
    ++round.cancelled;
    co_return std::optional<T>();
}

struct Contexts {
    std::shared_ptr<TlsContext> client;
    std::shared_ptr<TlsContext> server;

    static const Contexts& get() {
        static const Contexts contexts = make();
        return contexts;
    }

    static Contexts make() {
        const Certificate pair = certificate_make({"localhost", "DNS:localhost", false, 1});
        TlsClientOptions options;
        options.insecure = true;
        Contexts made;
        made.client = *TlsContext::client(options);
        made.server = *TlsContext::server(pair.certificate_pem, pair.key_pem);
        return made;
    }
};

constexpr std::size_t big_bytes = 700'000;

/// The peer of a TLS test: echoes one byte, takes big_bytes, sends them back, ends.
Task<void> tls_peer(std::unique_ptr<ByteStream> stream) {
    CO_TRY(const auto tls, co_await TlsStream::accept(std::move(stream), Contexts::get().server));
    std::string all(big_bytes, '\0');
    std::size_t size = 0;
    while (size < all.size()) {
        CO_TRY(const std::size_t got, co_await tls->read(std::span<char>(all).subspan(size)));
        if (got == 0) {
            co_return ok;
        }
        size += got;
    }
    CO_CHECK(co_await tls->write(all));
    co_return co_await tls->shutdown_write();
}

Task<int> tls_exchange(std::unique_ptr<ByteStream> stream) {
    CO_TRY(const auto tls,
           co_await TlsStream::connect(std::move(stream), Contexts::get().client, "localhost"));
    const std::string sent(big_bytes, 'x');
    CO_CHECK(co_await tls->write(sent));
    CO_TRY(const std::string back, co_await read_to_end(*tls));
    co_return back == sent ? 1 : 0;
}

}  // namespace

TEST_CASE("cancel: a TLS client, from handshake to end", "[cancel][tls]") {
    static_cast<void>(Contexts::get());
    const int cancelled = sweep([](Round& round) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        TaskGroup peer(GroupPolicy::independent);
        peer.spawn(tls_peer(std::move(pair.second)));
        CO_TRY(const auto done, co_await tested(round, tls_exchange(std::move(pair.first))));
        CHECK(done.value_or(1) == 1);
        static_cast<void>(co_await peer.join());  // It sees the end of the stream.
        co_return ok;
    });
    CHECK(cancelled > 4);
}

TEST_CASE("cancel: a TLS server, from handshake to end", "[cancel][tls]") {
    static_cast<void>(Contexts::get());
    const int cancelled = sweep([](Round& round) -> Task<void> {
        CO_TRY(StreamPair pair, stream_pair_make());
        auto client = [](std::unique_ptr<ByteStream> stream) -> Task<void> {
            static_cast<void>(co_await tls_exchange(std::move(stream)));
            co_return ok;
        };
        auto server = [](std::unique_ptr<ByteStream> stream) -> Task<int> {
            CO_CHECK(co_await tls_peer(std::move(stream)));
            co_return 1;
        };
        TaskGroup peer(GroupPolicy::independent);
        peer.spawn(client(std::move(pair.first)));
        CO_TRY(const auto done, co_await tested(round, server(std::move(pair.second))));
        CHECK(done.value_or(1) == 1);
        static_cast<void>(co_await peer.join());
        co_return ok;
    });
    CHECK(cancelled > 4);
}

TEST_CASE("cancel: a name lookup", "[cancel][resolver]") {
    const int cancelled = sweep([](Round& round) -> Task<void> {
        CO_TRY(auto server, NameServer::make());
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server->serve());
        auto found = co_await tested(round, resolve_host("test.example", server->text()));
        group.cancel();
        static_cast<void>(co_await group.join());
        CO_CHECK(std::move(found));
        co_return ok;
    });
    CHECK(cancelled > 0);
}

namespace {

/// Takes a body, and answers with one of the same size.
Task<void> mirror(ServerRequest& request, ServerResponse& response) {
    CO_TRY(const std::string body, co_await request.read_body_all(big_bytes));
    CO_CHECK(co_await response.begin(200, "text/plain"));
    CO_CHECK(co_await response.write(body));
    co_return co_await response.end();
}

Task<std::size_t> produce(std::size_t& left, std::span<char> buffer) {
    co_await yield_now();
    const std::size_t count = std::min(left, buffer.size());
    std::fill_n(buffer.begin(), count, 'x');
    left -= count;
    co_return count;
}

/// One POST with a produced body over a new or pooled connection.
Task<int> post(HttpClient& client, std::string url) {
    CO_TRY(Url parsed, Url::parse(url));
    std::size_t left = big_bytes;
    ClientRequest request;
    request.method = "POST";
    request.producer = [&left](std::span<char> buffer) { return produce(left, buffer); };
    CO_TRY(ClientResponse response, co_await client.send(std::move(parsed), std::move(request)));
    CO_TRY(const std::string body, co_await response.read_body_all(big_bytes));
    co_return body == std::string(big_bytes, 'x') ? 1 : 0;
}

}  // namespace

TEST_CASE("cancel: an HTTP request, from connecting to its answer's last byte",
          "[cancel][client]") {
    const int cancelled = sweep([](Round& round) -> Task<void> {
        HttpServer server(mirror, {});
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server.serve(listener));
        const std::string url = "http://127.0.0.1:" + std::to_string(listener.port()) + "/";
        {
            HttpClient client{HttpClientOptions{}};
            CO_TRY(const auto done, co_await tested(round, post(client, url)));
            CHECK(done.value_or(1) == 1);
            // A connection that was left in the middle of something is not used again.
            CHECK(client.idle_connections() == (done ? 1 : 0));
            CO_TRY(const int again, co_await post(client, url));
            CHECK(again == 1);
        }
        group.cancel();
        static_cast<void>(co_await group.join());
        CHECK(server.connections() == 0);
        co_return ok;
    });
    CHECK(cancelled > 4);
}

TEST_CASE("cancel: a server's connection, from head to answer", "[cancel][server]") {
    const int cancelled = sweep([](Round& round) -> Task<void> {
        HttpServer server(mirror, {});
        CO_TRY(StreamPair pair, stream_pair_make());
        auto serve = [](HttpServer& by, std::unique_ptr<FdStream> stream) -> Task<int> {
            CO_CHECK(co_await by.serve_connection(std::move(stream)));
            co_return 1;
        };
        auto ask = [](std::unique_ptr<FdStream> stream) -> Task<void> {
            const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
            const std::string request = head + "Content-Length: " + std::to_string(big_bytes) +
                                        "\r\n\r\n" + std::string(big_bytes, 'x');
            static_cast<void>(co_await stream->write(request));
            static_cast<void>(co_await read_to_end(*stream));
            co_return ok;
        };
        TaskGroup peer(GroupPolicy::independent);
        peer.spawn(ask(std::move(pair.second)));
        CO_TRY(const auto done, co_await tested(round, serve(server, std::move(pair.first))));
        CHECK(done == 1);
        CHECK(server.connections() == 0);
        static_cast<void>(co_await peer.join());
        // A connection never fails: what a cancellation did to it is between it and its client.
        round.cancelled += round.missed ? 0 : 1;
        co_return ok;
    });
    CHECK(cancelled > 4);
}
