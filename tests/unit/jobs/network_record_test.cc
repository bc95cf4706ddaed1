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

namespace {

NetworkRecord hanging(const char* driver, std::map<std::string, std::string> options) {
    NetworkRecord record;
    record.id = NetworkId::generate();
    record.name = "lan";
    record.driver = driver;
    record.options = std::move(options);
    record.ipam = {config("10.1.0.0/24", "10.1.0.1")};
    record.interface = record.option(option_parent);
    return record;
}

}  // namespace

TEST_CASE("macvlan and ipvlan take their own options alone", "[network][macvlan]") {
    CHECK(refusal(hanging("macvlan", {{"parent", "eth0"}, {"macvlan_mode", "vepa"}})).empty());
    CHECK(refusal(hanging("ipvlan", {{"ipvlan_mode", "l3s"}, {"ipvlan_flag", "private"}})).empty());
    CHECK(refusal(hanging("macvlan", {{"macvlan_mode", "l2"}})) ==
          "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default");
    CHECK(refusal(hanging("ipvlan", {{"ipvlan_mode", "bridge"}})) ==
          "requested ipvlan mode 'bridge' is not valid, 'l2' mode is the ipvlan driver default");
    CHECK(refusal(hanging("ipvlan", {{"ipvlan_flag", "odd"}})) ==
          "requested ipvlan flag 'odd' is not valid, 'bridge' is the ipvlan driver default");
    CHECK(refusal(hanging("macvlan", {{"ipvlan_mode", "l2"}})) ==
          "option ipvlan_mode is not one of macvlan networks");
    CHECK(refusal(hanging("macvlan", {{"parent", "lo"}})) ==
          "loopback interface is not a valid macvlan parent link");
    CHECK(!refusal(hanging("macvlan", {{"parent", "a/b"}})).empty());
    CHECK(refusal(hanging("macvlan", {{option_icc, "false"}})) ==
          "option com.docker.network.bridge.enable_icc is of bridge networks alone, not of macvlan "
          "ones");
    NetworkRecord internal = hanging("macvlan", {{"parent", "eth0"}});
    internal.internal = true;
    CHECK(!refusal(internal).empty());
    internal.options.clear();
    CHECK(refusal(internal).empty());
}

TEST_CASE("what a network hangs on may be shared, or not", "[network][macvlan]") {
    const NetworkRecord lan = hanging("macvlan", {{"parent", "eth0"}});
    const NetworkRecord whole =
        hanging("macvlan", {{"parent", "eth0"}, {"macvlan_mode", "passthru"}});
    const NetworkRecord other =
        hanging("macvlan", {{"parent", "eth1"}, {"macvlan_mode", "passthru"}});
    const NetworkRecord ip = hanging("ipvlan", {{"parent", "eth0"}});
    CHECK(network_parent_check(lan, lan));
    CHECK(network_parent_check(lan, other));
    CHECK(!network_parent_check(lan, whole));
    CHECK(!network_parent_check(whole, lan));
    CHECK(!network_parent_check(ip, lan));
    CHECK(network_parent_check(ip, dual_stack()));
    CHECK(lan.leads_out());
    CHECK(!hanging("macvlan", {}).leads_out());
    const auto spec = network_spec(whole);
    REQUIRE(spec);
    CHECK(spec->kind == "macvlan");
    CHECK(spec->mode == "passthru");
    CHECK(spec->interface == "eth0");
    CHECK(!spec->isolated);
}
