// Goal: netlink messages are laid out as the kernel reads them.
// Method: bytes of batches, read with the kernel's own macros; nothing is sent.
#include "drivers/net/netlink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "drivers/net/links.h"
#include "tests/support/catch.h"

using namespace davit;

TEST_CASE("messages of a batch follow one another, aligned", "[net][netlink]") {
    NetlinkBatch batch;
    CHECK(batch.empty());
    link_delete(batch, 7, "x");
    clsact_add(batch, 8);
    CHECK(batch.size() == 2);
    const std::string bytes = batch.bytes();
    nlmsghdr first{};
    std::memcpy(&first, bytes.data(), sizeof(first));
    CHECK(first.nlmsg_type == RTM_DELLINK);
    CHECK((first.nlmsg_flags & (NLM_F_REQUEST | NLM_F_ACK)) == (NLM_F_REQUEST | NLM_F_ACK));
    CHECK(first.nlmsg_len == sizeof(nlmsghdr) + sizeof(ifinfomsg));
    nlmsghdr second{};
    std::memcpy(&second, bytes.data() + NLMSG_ALIGN(first.nlmsg_len), sizeof(second));
    CHECK(second.nlmsg_type == RTM_NEWQDISC);
    CHECK(bytes.size() == NLMSG_ALIGN(first.nlmsg_len) + NLMSG_ALIGN(second.nlmsg_len));
}

TEST_CASE("attributes are found where they were put, nested ones inside", "[net][netlink]") {
    NetlinkBatch batch;
    batch.begin(RTM_NEWLINK, 0, "test");
    batch.header(ifinfomsg{});
    batch.attribute(IFLA_IFNAME, std::string_view("dv-1"));
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.attribute(IFLA_INFO_KIND, std::string_view("bridge"));
    batch.close(info);
    batch.attribute(IFLA_MTU, std::uint32_t{1400});
    const std::string_view body =
        std::string_view(batch.bytes()).substr(sizeof(nlmsghdr) + sizeof(ifinfomsg));
    const NetlinkAttributes attributes(body);
    CHECK(attributes.text(IFLA_IFNAME) == "dv-1");
    CHECK(attributes.number(IFLA_MTU) == 1400);
    CHECK(NetlinkAttributes(attributes.find(IFLA_LINKINFO)).text(IFLA_INFO_KIND) == "bridge");
    CHECK(attributes.find(IFLA_ADDRESS).empty());
    CHECK(attributes.number(IFLA_ADDRESS) == 0);
}

TEST_CASE("attributes cut short end the search", "[net][netlink]") {
    NetlinkBatch batch;
    batch.begin(RTM_NEWLINK, 0, "test");
    batch.attribute(IFLA_IFNAME, std::string_view("eth0"));
    const std::string_view body = std::string_view(batch.bytes()).substr(sizeof(nlmsghdr));
    for (std::size_t size = 0; size + 4 < body.size(); ++size) {
        CHECK(NetlinkAttributes(body.substr(0, size)).text(IFLA_IFNAME).size() < 5);
    }
    CHECK(NetlinkAttributes(std::string_view("\x00\x00\x03\x00", 4)).find(IFLA_IFNAME).empty());
}
