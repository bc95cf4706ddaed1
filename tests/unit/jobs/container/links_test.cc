// Goal: a link says of its container what Docker says, in variables that programs have read for ten
// years. Method: links in every form, and targets with ports and variables of several kinds.
#include "jobs/container/links.h"

#include <algorithm>

#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::vector<std::string> sorted(std::vector<std::string> list) {
    std::ranges::sort(list);
    return list;
}

}  // namespace

TEST_CASE("a link names a container and an alias", "[container][links]") {
    const auto [text, container, alias] = GENERATE(table<std::string, std::string, std::string>({
        {"db", "db", "db"},
        {"db:store", "db", "store"},
        {"/db:/web/store", "db", "store"},
    }));
    const auto link = link_parse(text);
    REQUIRE(link);
    CHECK(link->container == container);
    CHECK(link->alias == alias);
}

TEST_CASE("what is no link", "[container][links]") {
    CHECK(link_parse("").error().message() == "empty string specified for links");
    CHECK(link_parse("a:b:c").error().message() == "bad format for links: a:b:c");
    CHECK(link_parse("a:b:c").error().kind() == ErrorKind::invalid_argument);
}

TEST_CASE("a link becomes variables", "[container][links]") {
    LinkTarget target;
    target.name = "/web/db-1";
    target.address = "172.17.0.2";
    target.ports = {"6379/tcp", "53/udp", "53/tcp"};
    target.environment = {"PASSWORD=a=b", "HOME=/x", "PATH=/bin", "EMPTY=", "nothing"};
    CHECK(sorted(link_environment(target)) == sorted({"DB_1_NAME=/web/db-1",
                                                      "DB_1_PORT=tcp://172.17.0.2:53",
                                                      "DB_1_PORT_53_TCP=tcp://172.17.0.2:53",
                                                      "DB_1_PORT_53_TCP_ADDR=172.17.0.2",
                                                      "DB_1_PORT_53_TCP_PORT=53",
                                                      "DB_1_PORT_53_TCP_PROTO=tcp",
                                                      "DB_1_PORT_53_UDP=udp://172.17.0.2:53",
                                                      "DB_1_PORT_53_UDP_ADDR=172.17.0.2",
                                                      "DB_1_PORT_53_UDP_PORT=53",
                                                      "DB_1_PORT_53_UDP_PROTO=udp",
                                                      "DB_1_PORT_6379_TCP=tcp://172.17.0.2:6379",
                                                      "DB_1_PORT_6379_TCP_ADDR=172.17.0.2",
                                                      "DB_1_PORT_6379_TCP_PORT=6379",
                                                      "DB_1_PORT_6379_TCP_PROTO=tcp",
                                                      "DB_1_ENV_PASSWORD=a=b",
                                                      "DB_1_ENV_EMPTY="}));
}

TEST_CASE("ports in a row are told as one, too", "[container][links]") {
    LinkTarget target;
    target.name = "/web/db";
    target.address = "10.0.0.2";
    target.ports = {"80/tcp", "81/tcp", "82/tcp", "90/tcp", "91/tcp"};
    std::vector<std::string> rows;
    for (const std::string& variable : link_environment(target)) {
        if (variable.find("_START=") != std::string::npos ||
            variable.find("_END=") != std::string::npos) {
            rows.push_back(variable);
        }
    }
    CHECK(sorted(rows) == sorted({"DB_PORT_80_TCP_START=tcp://10.0.0.2:80",
                                  "DB_PORT_80_TCP_PORT_START=80",
                                  "DB_PORT_82_TCP_END=tcp://10.0.0.2:82",
                                  "DB_PORT_82_TCP_PORT_END=82"}));
    target.ports.clear();
    CHECK(link_environment(target) == std::vector<std::string>{"DB_NAME=/web/db"});
}
