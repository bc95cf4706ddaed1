// Goal: what is published where, in both families, as Docker has it.
// Method: bindings as a client writes them, and with and without an IPv6 address.
#include "jobs/container/ports.h"

#include <netinet/in.h>

#include "tests/support/catch.h"

using namespace davit;

namespace {

const IpAddress every4 = IpAddress::v4(0);
const IpAddress every6;

HostConfig published(const char* address, const char* port) {
    HostConfig host;
    host.port_bindings["80/tcp"] = {{address, port}};
    return host;
}

std::vector<IpAddress> hosts_of(const std::vector<PortSpec>& ports) {
    std::vector<IpAddress> hosts;
    for (const PortSpec& port : ports) {
        hosts.push_back(port.host);
    }
    return hosts;
}

std::vector<IpAddress> hosts_of(const char* address, const PortHosts& hosts) {
    const auto ports = ports_wanted(published(address, "8080"), {}, hosts);
    REQUIRE(ports);
    return hosts_of(*ports);
}

}  // namespace

TEST_CASE("without an address a port is published in each family there is", "[ports][ipv6]") {
    using Addresses = std::vector<IpAddress>;
    const IpAddress one = *IpAddress::parse("10.0.0.1");
    CHECK(hosts_of("", {}) == Addresses{every4});
    CHECK(hosts_of("", {.ipv6 = true}) == Addresses{every4, every6});
    CHECK(hosts_of("", {.binding = one, .ipv6 = true}) == Addresses{one});
    CHECK(hosts_of("0.0.0.0", {.ipv6 = true}) == Addresses{every4});
    CHECK(hosts_of("::", {.ipv6 = true}) == Addresses{every6});
    CHECK(hosts_of("::1", {.ipv6 = true}) == Addresses{*IpAddress::parse("::1")});
    const auto refused = ports_wanted(published("::1", "8080"), {}, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("exposed ports are published in each family, too", "[ports][ipv6]") {
    HostConfig host;
    host.publish_all_ports = true;
    const auto ports = ports_wanted(host, {"53/udp"}, {.ipv6 = true});
    REQUIRE(ports);
    REQUIRE(ports->size() == 2);
    CHECK(ports->front().protocol == IPPROTO_UDP);
    CHECK(hosts_of(*ports) == std::vector<IpAddress>{every4, every6});
}

TEST_CASE("what was got is shown, and read again", "[ports][ipv6]") {
    auto wanted = ports_wanted(published("", "8080"), {}, {.ipv6 = true});
    REQUIRE(wanted);
    const auto shown = ports_published(*wanted);
    REQUIRE(shown.at("80/tcp").size() == 2);
    CHECK(shown.at("80/tcp")[0].host_ip == "0.0.0.0");
    CHECK(shown.at("80/tcp")[1].host_ip == "::");
    CHECK(*ports_of(shown) == *wanted);
}
