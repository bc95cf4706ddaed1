// Goal: names become addresses over real DNS messages, and every kind of no is told apart. Method:
// a name server of a few lines on a UDP socket of this loop.
#include "http/resolver.h"

#include "reactor/task_group.h"
#include "reactor/timer.h"
#include "tests/support/catch.h"
#include "tests/unit/http/name_server.h"

using namespace davit;
using namespace davit::test;
using namespace std::chrono_literals;

namespace {

Result<std::vector<std::string>> look_up(std::string host, Nanoseconds timeout = 10s) {
    auto body = [](std::string name, Nanoseconds limit) -> Task<std::vector<std::string>> {
        CO_TRY(auto server, NameServer::make());
        TaskGroup group(GroupPolicy::independent);
        group.spawn(server->serve());
        Result<std::vector<std::string>> found =
            co_await with_timeout(limit, resolve_host(name, server->text()));
        CHECK(server->queries > 0);
        group.cancel();
        static_cast<void>(co_await group.join());
        co_return found;
    };
    Loop loop;
    return loop.run(body(std::move(host), timeout));
}

}  // namespace

TEST_CASE("a name has all its addresses", "[resolver]") {
    auto found = look_up("test.example");
    REQUIRE(found);
    std::sort(found->begin(), found->end());
    CHECK(*found == std::vector<std::string>{"10.0.0.1", "10.0.0.2", "2001:db8::1"});
}

TEST_CASE("an unknown name is no missing object of ours", "[resolver]") {
    CHECK(look_up("missing.example").error().kind() == ErrorKind::internal);
}

TEST_CASE("a silent name server can be given up on", "[resolver]") {
    CHECK(look_up("silent.example", 20ms).error().kind() == ErrorKind::timed_out);
}

TEST_CASE("a list of name servers is checked", "[resolver]") {
    Loop loop;
    CHECK(loop.run(resolve_host("test.example", "nonsense")).error().kind() ==
          ErrorKind::invalid_argument);
}
