// Goal: whose a filter is, and whose links news are of, is told by their names alone.
// Method: names and messages as the kernel gives them; nothing is asked of it.
#include "drivers/net/link_news.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "drivers/net/filters.h"
#include "drivers/net/host_subnets.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

std::string link_message(std::uint16_t type, std::string_view name, std::string_view alias) {
    NetlinkBatch batch;
    batch.begin(type, 0, "test");
    batch.header(ifinfomsg{});
    batch.attribute(IFLA_IFNAME, name);
    if (!alias.empty()) {
        batch.attribute(IFLA_IFALIAS, alias);
    }
    return batch.bytes();
}

std::string address_message(int index) {
    NetlinkBatch batch;
    batch.begin(RTM_NEWADDR, 0, "test");
    ifaddrmsg head{};
    head.ifa_index = static_cast<std::uint32_t>(index);
    batch.header(head);
    return batch.bytes();
}

bool link_matters(std::string_view name, std::string_view alias) {
    LinkNews news;
    link_news_read(link_message(RTM_NEWLINK, name, alias), "davit:me:", news);
    CHECK(news.addressed.empty());
    return news.matters;
}

}  // namespace

TEST_CASE("the name of a filter tells whose it is", "[net][filters]") {
    const FilterName plain{"davit_from_uplink", "me"};
    CHECK(filter_name_write(plain) == "davit_from_uplink:me");
    CHECK(filter_name_parse(filter_name_write(plain)) == plain);
    const FilterName noted{"davit_from_lo", "me", "accept_local,route_localnet"};
    CHECK(filter_name_parse(filter_name_write(noted)) == noted);
    CHECK(filter_name_parse("davit_from_container") == FilterName{"davit_from_container", ""});
    CHECK_FALSE(filter_name_parse("cil_from_netdev"));
    CHECK_FALSE(filter_name_parse(""));
    CHECK_FALSE(filter_name_of({.priority = 1, .handle = 1, .name = "davit_from_lo:me"}));
    CHECK(filter_name_of({.priority = filter_priority, .handle = 9, .name = "davit_from_lo:me"}));
}

TEST_CASE("news of links of one's own do not matter", "[net][filters]") {
    CHECK(link_matters("eth0", ""));
    CHECK(link_matters("eth0", "the office"));
    CHECK(link_matters("br7", ""));
    CHECK_FALSE(link_matters("br7", "davit:me:network:1"));
    CHECK_FALSE(link_matters("dv-0123456789ab", "davit:me:network:1"));
    CHECK_FALSE(link_matters("dve0123456789ab", ""));
    // Another daemon's bridge, when it is told whose it is.
    CHECK_FALSE(link_matters("dv-0123456789ab", ""));
    CHECK(link_matters("dv-0123456789ab", "davit:other:network:1"));
    CHECK_FALSE(link_matters("dve0123456789ab", "davit:other:endpoint:1"));
}

TEST_CASE("news of addresses name their links; several come together", "[net][filters]") {
    LinkNews news;
    link_news_read(address_message(7) + address_message(9) +
                       link_message(RTM_DELLINK, "dv-1", "davit:me:network:1"),
                   "davit:me:",
                   news);
    CHECK_FALSE(news.matters);
    CHECK(news.addressed == std::set<int>{7, 9});
    link_news_read(link_message(RTM_DELLINK, "eth1", ""), "davit:me:", news);
    CHECK(news.matters);
}

TEST_CASE("news that are cut short, or of something else, matter", "[net][filters]") {
    const std::string whole = link_message(RTM_NEWLINK, "dve1", "davit:me:endpoint:1");
    LinkNews cut;
    link_news_read(std::string_view(whole).substr(0, whole.size() - 4), "davit:me:", cut);
    CHECK(cut.matters);
    LinkNews other;
    link_news_read(link_message(RTM_NEWROUTE, "", ""), "davit:me:", other);
    CHECK(other.matters);
}

TEST_CASE("routes of one's own bridges change nothing for the next network", "[net][filters]") {
    NetlinkBatch route;
    route.begin(RTM_NEWROUTE, 0, "test");
    route.header(rtmsg{});
    route.attribute(RTA_OIF, std::uint32_t{7});
    const std::set<int> own{7, 9};
    CHECK_FALSE(HostSubnets::tells_of_others(route.bytes() + address_message(9), own));
    CHECK(HostSubnets::tells_of_others(route.bytes() + address_message(8), own));
    CHECK(HostSubnets::tells_of_others(route.bytes(), {9}));
    NetlinkBatch several;  // By several links: RTA_MULTIPATH.
    several.begin(RTM_NEWROUTE, 0, "test");
    several.header(rtmsg{});
    CHECK(HostSubnets::tells_of_others(several.bytes(), own));
    CHECK(HostSubnets::tells_of_others(route.bytes().substr(0, 20), own));

    HostSubnets subnets;
    const Subnet mine = *Subnet::parse("10.7.0.0/24");
    const Subnet other = *Subnet::parse("10.8.0.0/24");
    subnets.put({{mine, 7}, {other, 2}});
    CHECK(subnets.others(own) == std::vector{other});
    CHECK(subnets.others({}) == std::vector{mine, other});
}
