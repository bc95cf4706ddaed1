// Goal: a network knows whose a name is through every change of its members. Method: members
// without containers.
#include "jobs/network/networks.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

NetworkMember member_of(const ContainerId& container, std::vector<std::string> names) {
    NetworkMember member;
    member.container = container;
    member.names = std::move(names);
    return member;
}

}  // namespace

TEST_CASE("whose a name is follows the members of a network", "[network]") {
    Network network;
    const ContainerId web = ContainerId::generate();
    const ContainerId other = ContainerId::generate();
    network.member_put(member_of(web, {"Web", "front"}));
    network.member_put(member_of(other, {"other", "front"}));
    CHECK(network.called.count("web") == 1);
    CHECK(network.called.count("Web") == 0);
    CHECK(network.called.count("front") == 2);
    network.member_put(member_of(web, {"renamed", "front"}));
    CHECK(network.called.count("web") == 0);
    CHECK(network.called.count("front") == 2);
    network.member_erase(web);
    CHECK(network.called.count("renamed") == 0);
    REQUIRE(network.called.count("front") == 1);
    CHECK(network.called.find("front")->second == other);
    network.member_erase(web);
    network.member_erase(other);
    CHECK(network.called.empty());
    CHECK(network.members.empty());
}
