// Goal: the client finds its daemon, reuses connections, falls back to an older daemon's version,
// and tells what went wrong. Method: a scripted daemon on a unix socket.
#include "cli/api_client.h"

#include "reactor/loop.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/fake_daemon.h"

namespace davit::cli {

using test::FakeDaemon;
using test::FakeRequest;

TEST_CASE("endpoint: addresses") {
    const Result<ApiEndpoint> local = ApiEndpoint::parse("unix:///run/x.sock");
    REQUIRE(local);
    CHECK(local->socket_path == "/run/x.sock");
    const Result<ApiEndpoint> remote = ApiEndpoint::parse("tcp://[::1]:99");
    REQUIRE(remote);
    CHECK(remote->host == "::1");
    CHECK(remote->port == 99);
    CHECK(ApiEndpoint::parse("tcp://host")->port == 2375);
    CHECK(ApiEndpoint::parse("tcp://host:1/path")->host == "host");
    for (const char* bad : {"",
                            "foo://x",
                            "unix://relative",
                            "unix://",
                            "tcp://",
                            "tcp://:1",
                            "tcp://h:0",
                            "tcp://h:99999",
                            "tcp://h:x",
                            "tcp://[::1",
                            "/run/x.sock"}) {
        INFO(bad);
        CHECK_FALSE(ApiEndpoint::parse(bad));
    }
}

TEST_CASE("client: nobody listens") {
    Loop loop;
    ApiClient client(*ApiEndpoint::parse("unix:///nonexistent/socket"), "");
    const Result<std::string> answer = loop.run(client.call({"GET", "/info"}));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message() ==
          "Cannot connect to the davit daemon at unix:///nonexistent/socket. Is the davit daemon "
          "running?");
    CHECK(answer.error().kind() == ErrorKind::unavailable);
}

namespace {

/// Run one task beside the daemon.
template <typename T>
Result<T> beside(FakeDaemon& daemon, Task<T> task) {
    struct Runner {
        static Task<T> run(FakeDaemon& fake, Task<T> inner) {
            TaskGroup group(GroupPolicy::independent);
            group.spawn(fake.serve());
            Result<T> result = co_await std::move(inner);
            group.cancel();
            static_cast<void>(co_await group.join());
            co_return std::move(result);
        }
    };

    return Loop::current().run(Runner::run(daemon, std::move(task)));
}

Task<std::string> call_twice(ApiClient& client) {
    ApiCall first{"GET", "/first"};
    CO_TRY(const std::string one, co_await client.call(std::move(first)));
    ApiCall second{"GET", "/second"};
    CO_TRY(const std::string two, co_await client.call(std::move(second)));
    co_return one + two;
}

}  // namespace

TEST_CASE("client: one connection serves one request after the other") {
    Loop loop;
    FakeDaemon daemon;
    daemon.answer("GET /first", 200, "1");
    daemon.answer("GET /second", 200, "2");
    ApiClient client(*ApiEndpoint::parse(daemon.host()), "");
    const Result<std::string> answer = beside(daemon, call_twice(client));
    REQUIRE(answer);
    CHECK(*answer == "12");
    CHECK(daemon.connections == 1);
    CHECK(daemon.requests[0].version == "1.50");
}

TEST_CASE("client: an older daemon's version is taken over") {
    Loop loop;
    FakeDaemon daemon;
    daemon.on("GET /info", [](FakeRequest request, FdStream& stream) {
        return request.version == "1.41"
                   ? test::write_answer(stream, 200, "old")
                   : test::write_answer(stream,
                                        400,
                                        "{\"message\":\"client version 1.50 is too new. Maximum "
                                        "supported API version is 1.41\"}");
    });
    ApiClient client(*ApiEndpoint::parse(daemon.host()), "");
    const Result<std::string> answer = beside(daemon, client.call({"GET", "/info"}));
    REQUIRE(answer);
    CHECK(*answer == "old");
    CHECK(daemon.requests.size() == 2);
}

TEST_CASE("client: refusals carry their kind and the daemon's text") {
    struct Case {
        int status;
        const char* body;
        ErrorKind kind;
        const char* message;
    };

    for (const Case& item :
         {Case{404,
               "{\"message\":\"No such container: x\"}",
               ErrorKind::not_found,
               "Error response from daemon: No such container: x"},
          Case{409,
               "{\"message\":\"busy\"}",
               ErrorKind::conflict,
               "Error response from daemon: busy"},
          Case{304, "", ErrorKind::not_modified, "Error response from daemon: Not Modified"},
          Case{500,
               "plain text\n",
               ErrorKind::internal,
               "Error response from daemon: plain text"}}) {
        Loop loop;
        FakeDaemon daemon;
        daemon.answer("GET /x", item.status, item.body);
        ApiClient client(*ApiEndpoint::parse(daemon.host()), "");
        const Result<std::string> answer = beside(daemon, client.call({"GET", "/x"}));
        REQUIRE_FALSE(answer);
        CHECK(answer.error().kind() == item.kind);
        CHECK(answer.error().message() == item.message);
    }
}

}  // namespace davit::cli
