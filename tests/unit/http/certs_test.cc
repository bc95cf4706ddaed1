// Goal: certs.d is read as Docker reads it, and what is wrong with it is told with names. Method:
// directories made here, servers on 127.0.0.1.
#include <array>
#include <filesystem>

#include "http/host_certificates.h"
#include "tests/support/catch.h"
#include "tests/unit/http/tls_server.h"

using namespace davit;
using namespace davit::test;

namespace {

/// Given certs.d and the server's "127.0.0.1:port", does what the test is about.
using Certs = std::function<Task<void>(const TempDirectory&, std::string)>;

Result<void> with_server(const std::string& client_ca, Certs run) {
    auto body = [](std::string ca, Certs with) -> Task<void> {
        TlsServer server = server_with(Authority::get().good, ca);
        CO_TRY(Listener listener, Listener::tcp("127.0.0.1", 0));
        const TempDirectory directory;
        TaskGroup group(GroupPolicy::independent);
        group.spawn(TlsServer::serve(server, listener));
        Task<void> task = with(directory, "127.0.0.1:" + std::to_string(listener.port()));
        Result<void> result = co_await std::move(task);
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return result;
    };
    Loop loop;
    return loop.run(body(client_ca, std::move(run)));
}

/// Keeps no connection: every request makes a new one.
HttpClientOptions reading(const TempDirectory& directory) {
    HttpClientOptions options;
    options.certs_directory = directory.path();
    options.idle_connections_max = 0;
    return options;
}

/// What the server answers, or "" if nothing came of it.
Task<std::string> answer(HttpClient& client, std::string host) {
    const auto fetched = co_await fetch(client, "https://" + host + "/");
    co_return fetched ? *fetched : std::string();
}

}  // namespace

TEST_CASE("certs.d adds trust and a client certificate per host", "[tls]") {
    const Authority& authority = Authority::get();
    const auto run = [&](const TempDirectory& directory, std::string host) -> Task<void> {
        HttpClient client(reading(directory));
        directory.file(host + "/ca.crt", authority.root.certificate_pem);
        CO_TRY(const std::string without_client, co_await answer(client, host));
        CHECK(without_client.empty());
        directory.file(host + "/client.cert", authority.client.certificate_pem);
        directory.file(host + "/client.key", authority.client.key_pem);
        CO_TRY(const std::string with_client, co_await answer(client, host));
        CHECK(with_client == "secret");
        co_return ok;
    };
    CHECK(with_server(authority.root.certificate_pem, run));
}

TEST_CASE("certs.d is read whenever a connection is made", "[tls]") {
    const Authority& authority = Authority::get();
    const Certificate stranger = certificate_make({"stranger", "", true, 1});
    const auto run = [&](const TempDirectory& directory, std::string host) -> Task<void> {
        HttpClient client(reading(directory));
        CO_TRY(const std::string untrusted, co_await answer(client, host));
        CHECK(untrusted.empty());
        directory.file(host + "/ca.crt", authority.root.certificate_pem);
        CO_TRY(const std::string trusted, co_await answer(client, host));
        CHECK(trusted == "secret");
        CO_TRY(const std::string again, co_await answer(client, host));
        CHECK(again == "secret");
        directory.file(host + "/ca.crt", stranger.certificate_pem);
        CO_TRY(const std::string replaced, co_await answer(client, host));
        CHECK(replaced.empty());
        // One file may hold several.
        directory.file(host + "/ca.crt", stranger.certificate_pem + authority.root.certificate_pem);
        CO_TRY(const std::string together, co_await answer(client, host));
        CHECK(together == "secret");
        co_return ok;
    };
    CHECK(with_server("", run));
}

TEST_CASE("certs.d: a wrong CA is refused, and told where the right one goes", "[tls]") {
    const Certificate stranger = certificate_make({"stranger", "", true, 1});
    const auto run = [&](const TempDirectory& directory, std::string host) -> Task<void> {
        directory.file(host + "/ca.crt", stranger.certificate_pem);
        HttpClient client(reading(directory));
        const auto fetched = co_await fetch(client, "https://" + host + "/");
        REQUIRE(!fetched);
        CHECK(fetched.error().kind() == ErrorKind::corrupt);
        const std::string message = fetched.error().message();
        INFO(message);
        CHECK(message.find("connect to " + host) != std::string::npos);
        CHECK(message.find("certificate signed by unknown authority") != std::string::npos);
        CHECK(message.ends_with("missing in " + directory.path() + "/" + host + "/*.crt"));
        co_return ok;
    };
    CHECK(with_server("", run));
}

TEST_CASE("certs.d: of several client certificates one that the server knows", "[tls]") {
    const Authority& authority = Authority::get();
    const Certificate stranger = certificate_make({"stranger", "", true, 1});
    const Certificate first = certificate_make({"client", "", false, 1}, &stranger);
    const auto run = [&](const TempDirectory& directory, std::string host) -> Task<void> {
        directory.file(host + "/ca.crt", authority.root.certificate_pem);
        directory.file(host + "/a.cert", first.certificate_pem);
        directory.file(host + "/a.key", first.key_pem);
        directory.file(host + "/b.cert", authority.client.certificate_pem);
        directory.file(host + "/b.key", authority.client.key_pem);
        HttpClient client(reading(directory));
        CO_TRY(const std::string known, co_await answer(client, host));
        CHECK(known == "secret");
        std::filesystem::remove(directory.path() + "/" + host + "/b.cert");
        std::filesystem::remove(directory.path() + "/" + host + "/b.key");
        CO_TRY(const std::string unknown, co_await answer(client, host));
        CHECK(unknown.empty());
        co_return ok;
    };
    CHECK(with_server(authority.root.certificate_pem, run));
}

TEST_CASE("certs.d: what cannot be used is an error that names the files", "[tls]") {
    const Authority& authority = Authority::get();
    const std::string& certificate = authority.client.certificate_pem;
    const auto run = [&](const TempDirectory& directory, std::string host) -> Task<void> {
        const std::string folder = directory.path() + "/" + host;
        HttpClientOptions options = reading(directory);
        HttpClient client(options);
        const auto fails = [&](std::string first, std::string second = "") -> Task<void> {
            const auto fetched = co_await fetch(client, "https://" + host + "/");
            REQUIRE(!fetched);
            CHECK(fetched.error().kind() == ErrorKind::invalid_argument);
            const std::string message = fetched.error().message();
            INFO(message);
            CHECK(message.find(first) != std::string::npos);
            CHECK(message.find(second) != std::string::npos);
            co_return ok;
        };
        directory.file(host + "/me.cert", certificate);
        CO_CHECK(co_await fails("missing key " + folder + "/me.key for client certificate " +
                                folder + "/me.cert"));
        {
            // An insecure host's are not read.
            options.insecure_hosts = {"127.0.0.1"};
            HttpClient insecure(options);
            CO_TRY(const std::string unread, co_await answer(insecure, host));
            CHECK(unread == "secret");
        }
        directory.file(host + "/me.key", authority.good.key_pem);
        CO_CHECK(co_await fails(folder + "/me.cert with key " + folder + "/me.key", "mismatch"));
        directory.file(host + "/me.key", "no key");
        CO_CHECK(co_await fails("read client key " + folder + "/me.key"));
        std::filesystem::remove(folder + "/me.cert");
        CO_CHECK(co_await fails("missing client certificate " + folder + "/me.cert for key " +
                                folder + "/me.key"));
        std::filesystem::remove(folder + "/me.key");
        directory.file(host + "/ca.crt", "no certificate");
        CO_CHECK(co_await fails("read CA certificates " + folder + "/ca.crt"));
        directory.file(host + "/ca.crt", certificate + certificate.substr(0, 100));
        CO_CHECK(co_await fails("read CA certificates " + folder + "/ca.crt"));
        std::filesystem::remove(folder + "/ca.crt");
        std::filesystem::create_symlink("nowhere", folder + "/ca.crt");
        CO_CHECK(co_await fails(folder + "/ca.crt", "no such file"));
        std::filesystem::remove_all(folder);
        directory.file(host, "a file");
        CO_CHECK(co_await fails(folder, "not a directory"));
        co_return ok;
    };
    CHECK(with_server("", run));
}

TEST_CASE("a server that misses a client certificate is understood", "[tls]") {
    auto body = []() -> Task<void> {
        const Authority& authority = Authority::get();
        CO_TRY(StreamPair pair, stream_pair_make());
        TlsClientOptions options;
        options.ca_files = {authority.root_file};
        options.directory = "/certs.d/here";
        CO_TRY(auto client_context, TlsContext::client(options));
        const TlsServer server = server_with(authority.good, authority.root.certificate_pem);
        auto accept = [](std::unique_ptr<ByteStream> stream,
                         std::shared_ptr<TlsContext> context) -> Task<void> {
            const auto accepted = co_await TlsStream::accept(std::move(stream), std::move(context));
            CHECK(!accepted);
            co_return ok;
        };
        TaskGroup group;
        group.spawn(accept(std::move(pair.second), server.context));
        CO_TRY(auto client,
               co_await TlsStream::connect(std::move(pair.first), client_context, "localhost"));
        std::array<char, 16> buffer{};
        const auto got = co_await client->read(buffer);
        REQUIRE(!got);
        INFO(got.error().message());
        CHECK(
            got.error().message().ends_with("no client certificate (*.cert, *.key) in "
                                            "/certs.d/here"));
        co_return co_await group.join();
    };
    Loop loop;
    CHECK(loop.run(body()));
}
