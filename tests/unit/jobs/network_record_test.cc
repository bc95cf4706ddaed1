// Goal: a network's record says after a restart what it said before, in both families, and what it
// says is refused where it cannot be.
// Method: records written and read back; requests as a client makes them.
#include "jobs/network/network_check.h"
#include "jobs/network/record.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

IpamConfig config(const char* subnet, const char* gateway) {
    IpamConfig made;
    made.subnet = subnet;
    made.gateway = gateway;
    return made;
}

NetworkRecord dual_stack() {
    NetworkRecord record;
    record.id = NetworkId::generate();
    record.name = "front";
    record.enable_ipv6 = true;
    record.subnet6_asked = true;
    record.ipam = {config("10.1.0.0/24", "10.1.0.1"), config("fd00:1::/64", "fd00:1::1")};
    record.number = 3;
    record.interface = "dv-1";
    return record;
}

std::string refusal(const NetworkRecord& record) {
    NetworkCreateRequest request;
    request.record = record;
    const Result<void> checked = network_create_check(request);
    return checked ? "" : checked.error().message();
}

}  // namespace

TEST_CASE("a network's record reads back as written", "[network][ipv6]") {
    NetworkRecord record = dual_stack();
    record.ipam.back().ip_range = "fd00:1::100/120";
    record.ipam.back().auxiliary_addresses = {{"nas", "fd00:1::100"}};
    const auto read = network_record_read(network_record_write(record));
    REQUIRE(read);
    CHECK(*read == record);
    // One of a davit that knew IPv4 alone.
    NetworkRecord four = dual_stack();
    four.enable_ipv6 = false;
    four.subnet6_asked = false;
    four.ipam.pop_back();
    const std::string text = network_record_write(four);
    CHECK(text.find("Subnet6Asked") == std::string::npos);
    CHECK(*network_record_read(text) == four);
}

TEST_CASE("the driver is told of each family what is of it", "[network][ipv6]") {
    const auto spec = network_spec(dual_stack());
    REQUIRE(spec);
    CHECK(spec->subnet.str() == "10.1.0.0/24");
    CHECK(spec->gateway.str() == "10.1.0.1");
    CHECK(spec->subnet6.str() == "fd00:1::/64");
    CHECK(spec->gateway6.str() == "fd00:1::1");
    NetworkRecord four = dual_stack();
    four.ipam.pop_back();
    CHECK(network_spec(four)->gateway6.unset());
    CHECK(network_spec(four)->subnet6.unset());
}

TEST_CASE("one subnet of each family, and IPv6 only where it is asked for", "[network][ipv6]") {
    CHECK(refusal(dual_stack()).empty());
    NetworkRecord two = dual_stack();
    two.ipam.push_back(config("fd00:2::/64", ""));
    CHECK_THAT(refusal(two), Catch::Contains("several subnets of one family"));
    NetworkRecord without = dual_stack();
    without.enable_ipv6 = false;
    CHECK_THAT(refusal(without), Catch::Contains("add --ipv6"));
    NetworkRecord bare = dual_stack();
    bare.ipam.back().subnet.clear();
    CHECK_THAT(refusal(bare), Catch::Contains("subnet must be given with a gateway"));
    CHECK(network_addresses_check(config("fd00:1::/64", "fd00:1::ffff")));
    for (const char* gateway : {"fd00:2::1", "10.1.0.1"}) {
        CHECK_FALSE(network_addresses_check(config("fd00:1::/64", gateway)));
    }
    CHECK_FALSE(network_addresses_check(config("fd00:1::/127", "fd00:1::1")));
}
