// Goal: addresses and subnets read and write as Docker's, and their pools never give one out twice.
// Method: texts in, values out; pools filled to the end.
#include "drivers/net/address.h"

#include "drivers/net/ipam.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

Subnet subnet(std::string_view text) {
    const auto parsed = Subnet::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

IpAddress address(std::string_view text) {
    const auto parsed = IpAddress::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

}  // namespace

TEST_CASE("an address reads back as written", "[net][address]") {
    for (const char* text : {"172.17.0.2", "255.255.255.255", "0.0.0.1", "fd00::1"}) {
        CHECK(address(text).str() == text);
    }
    CHECK(address("10.0.0.1").is_v4());
    CHECK(address("10.0.0.1").v4_value() == 0x0a000001);
    CHECK_FALSE(address("fd00::1").is_v4());
    CHECK(IpAddress().str().empty());
    for (const char* text : {"", "10.0.0", "10.0.0.256", "::g", "10.0.0.1 "}) {
        CHECK_FALSE(IpAddress::parse(text));
    }
}

TEST_CASE("a subnet contains what is in it and no more", "[net][address]") {
    const Subnet net = subnet("172.18.5.9/16");
    CHECK(net.str() == "172.18.0.0/16");
    CHECK(net.contains(address("172.18.255.255")));
    CHECK_FALSE(net.contains(address("172.19.0.0")));
    CHECK_FALSE(net.contains(address("fd00::1")));
    CHECK(net.contains(subnet("172.18.7.0/24")));
    CHECK_FALSE(subnet("172.18.7.0/24").contains(net));
    CHECK(subnet("172.18.7.0/24").overlaps(net));
    CHECK_FALSE(net.overlaps(subnet("172.19.0.0/16")));
    CHECK(subnet("0.0.0.0/0").contains(address("1.2.3.4")));
    for (const char* text : {"172.18.0.0", "172.18.0.0/33", "x/8", "1.2.3.4/", "1.2.3.4/8x"}) {
        const auto refused = Subnet::parse(text);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind() == ErrorKind::invalid_argument);
    }
}

TEST_CASE("a subnet of IPv6 contains what is in it and no more", "[net][address]") {
    const Subnet net = subnet("fd00:1:2:3::9/64");
    CHECK(net.str() == "fd00:1:2:3::/64");
    CHECK(net.last().str() == "fd00:1:2:3:ffff:ffff:ffff:ffff");
    CHECK(net.contains(address("fd00:1:2:3::1")));
    CHECK_FALSE(net.contains(address("fd00:1:2:4::1")));
    CHECK_FALSE(net.contains(address("172.18.0.1")));
    CHECK(subnet("fd00::/8").overlaps(net));
    CHECK_FALSE(subnet("::/0").contains(address("10.0.0.1")));
    CHECK(subnet("::/0").contains(address("fd00::1")));
    CHECK_FALSE(subnet("::/64").unset());
    CHECK_FALSE(subnet("0.0.0.0/0").contains(address("fd00::1")));
    CHECK(Subnet::parse("fd00::/129").error().kind() == ErrorKind::invalid_argument);
    CHECK(address("fe80::1").is_link_local6());
    CHECK_FALSE(address("fec0::1").is_link_local6());
    CHECK(IpAddress::from_number(address("fd00::ff").number() + 1).str() == "fd00::100");
}

TEST_CASE("MAC addresses", "[net][address]") {
    CHECK(mac_text(mac_of(address("172.17.0.2"))) == "02:42:ac:11:00:02");
    const auto parsed = mac_parse("92:d0:c6:0a:29:33");
    REQUIRE(parsed);
    CHECK(mac_text(*parsed) == "92:d0:c6:0a:29:33");
    for (const char* text : {"",
                             "92:d0:c6:0a:29",
                             "92:d0:c6:0a:29:3",
                             "92:d0:c6:0a:29:3g",
                             "92:d0:c6:0a:29:33:",
                             "92 d0 c6 0a 29 33"}) {
        CHECK_FALSE(mac_parse(text));
    }
}

TEST_CASE("a free subnet overlaps nothing that is taken", "[net][ipam]") {
    const auto pools = subnet_pools_default();
    std::vector<Subnet> taken;
    CHECK(subnet_choose(pools, taken)->str() == "172.17.0.0/24");
    taken = {subnet("172.17.0.0/24"), subnet("172.17.1.128/25"), subnet("0.0.0.0/0")};
    CHECK(subnet_choose(pools, taken)->str() == "172.17.2.0/24");
    taken = {subnet("172.16.0.0/12")};
    CHECK(subnet_choose(pools, taken)->str() == "192.168.0.0/24");
    taken.push_back(subnet("192.168.0.0/17"));
    CHECK(subnet_choose(pools, taken)->str() == "192.168.128.0/24");
    taken.push_back(subnet("192.0.0.0/8"));
    const auto none = subnet_choose(pools, taken);
    REQUIRE_FALSE(none);
    CHECK(none.error().message() == "all predefined address pools have been fully subnetted");
}

TEST_CASE("thousands of networks fit into the pools, none over another", "[net][ipam]") {
    std::vector<Subnet> taken;
    for (;;) {
        const auto chosen = subnet_choose(subnet_pools_default(), taken);
        if (!chosen) {
            break;
        }
        REQUIRE((taken.empty() || !taken.back().overlaps(*chosen)));
        taken.push_back(*chosen);
        if (taken.size() == 300) {
            taken.resize(taken.size() - 1);  // One that was given back is found again.
            CHECK(*subnet_choose(subnet_pools_default(), taken) == *chosen);
            taken.push_back(*chosen);
        }
        if (taken.size() == 600) {
            break;
        }
    }
    CHECK(taken.size() == 600);
    CHECK(taken.back().str() == "172.19.87.0/24");
}

TEST_CASE("a pool gives out each address once, the lowest first", "[net][ipam]") {
    AddressPool pool(subnet("10.1.0.0/29"));
    REQUIRE(pool.take(address("10.1.0.1")));
    CHECK(pool.allocate()->str() == "10.1.0.2");
    CHECK(pool.allocate()->str() == "10.1.0.3");
    const auto twice = pool.take(address("10.1.0.3"));
    REQUIRE_FALSE(twice);
    CHECK(twice.error().kind() == ErrorKind::permission_denied);
    CHECK(twice.error().message() == "Address already in use");
    CHECK(pool.take(address("10.2.0.3")).error().kind() == ErrorKind::invalid_argument);
    pool.release(address("10.1.0.2"));
    CHECK(pool.allocate()->str() == "10.1.0.2");
    for (const char* next : {"10.1.0.4", "10.1.0.5", "10.1.0.6"}) {
        CHECK(pool.allocate()->str() == next);
    }
    const auto full = pool.allocate();
    REQUIRE_FALSE(full);
    CHECK(full.error().kind() == ErrorKind::resource_exhausted);
    pool.release(address("10.9.9.9"));  // Not its own: nothing happens.
    CHECK_FALSE(pool.allocate());
    CHECK(pool.taken() == 6);
}

TEST_CASE("a pool with a range gives out that alone", "[net][ipam]") {
    AddressPool pool(subnet("10.1.0.0/24"), subnet("10.1.0.128/31"));
    REQUIRE(pool.take(address("10.1.0.5")));  // Asked for: anywhere in the subnet.
    CHECK(pool.allocate()->str() == "10.1.0.128");
    CHECK(pool.allocate()->str() == "10.1.0.129");
    CHECK_FALSE(pool.allocate());
}

TEST_CASE("IPv6 networks come from a /48 that is the host's", "[net][ipam]") {
    // sha256("davit") begins with 6b06fd5a2904b47d: the last five of these bytes are the global id.
    const SubnetPool pool = subnet_pool6("davit");
    CHECK(pool.range.str() == "fd5a:2904:b47d::/48");
    CHECK(pool.range != subnet_pool6("other").range);
    CHECK(pool.range.prefix() == 48);
    const auto first = subnet_choose(std::span(&pool, 1), {});
    REQUIRE(first);
    CHECK(first->prefix() == 64);
    CHECK(first->base() == pool.range.base());
    const std::vector<Subnet> taken{*first, subnet("::/0"), subnet("0.0.0.0/0")};
    const auto second = subnet_choose(std::span(&pool, 1), taken);
    REQUIRE(second);
    CHECK(pool.range.contains(*second));
    CHECK_FALSE(first->overlaps(*second));
    const std::vector<Subnet> all{subnet("fc00::/7")};
    CHECK_FALSE(subnet_choose(std::span(&pool, 1), all));
}

TEST_CASE("a pool of IPv6 addresses", "[net][ipam]") {
    AddressPool pool(subnet("fd00::/64"));
    REQUIRE(pool.take(address("fd00::1")));
    CHECK(pool.allocate()->str() == "fd00::2");
    CHECK(pool.take(address("fd00::2")).error().message() == "Address already in use");
    CHECK(pool.take(address("10.0.0.1")).error().kind() == ErrorKind::invalid_argument);
    pool.release(IpAddress());  // What a network without IPv6 has.
    CHECK(pool.allocate()->str() == "fd00::3");
    AddressPool small(subnet("fd00::/64"), subnet("fd00::fffe/127"));
    CHECK(small.allocate()->str() == "fd00::fffe");
    CHECK(small.allocate()->str() == "fd00::ffff");
    CHECK(small.allocate().error().message().starts_with("no available IPv6 addresses"));
    AddressPool whole(subnet("fd00::fffc/126"));
    for (const char* next : {"fd00::fffd", "fd00::fffe", "fd00::ffff"}) {
        CHECK(whole.allocate()->str() == next);  // There is no broadcast.
    }
    CHECK_FALSE(whole.allocate());
}
