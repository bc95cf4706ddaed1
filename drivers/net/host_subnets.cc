#include "drivers/net/host_subnets.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "drivers/net/link_news.h"

namespace davit {

namespace {

/// The link that a message is of; 0: of none, or of several.
int index_of(std::uint16_t type, std::string_view body) {
    if ((type == RTM_NEWADDR || type == RTM_DELADDR) && body.size() >= sizeof(ifaddrmsg)) {
        ifaddrmsg address{};
        std::memcpy(&address, body.data(), sizeof(address));
        return static_cast<int>(address.ifa_index);
    }
    if ((type == RTM_NEWROUTE || type == RTM_DELROUTE) && body.size() >= sizeof(rtmsg)) {
        return static_cast<int>(NetlinkAttributes(body.substr(sizeof(rtmsg))).number(RTA_OIF));
    }
    return 0;
}

}  // namespace

bool HostSubnets::tells_of_others(std::string_view datagram, const std::set<int>& own) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        nlmsghdr head{};
        std::memcpy(&head, datagram.data(), sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > datagram.size()) {
            return true;
        }
        const std::string_view body = datagram.substr(sizeof(head), head.nlmsg_len - sizeof(head));
        if (!own.contains(index_of(head.nlmsg_type, body))) {
            return true;
        }
        const std::size_t step = (head.nlmsg_len + std::size_t{3}) & ~std::size_t{3};
        datagram.remove_prefix(std::min(datagram.size(), step));
    }
    return false;
}

Result<bool> HostSubnets::stale(const std::set<int>& own) {
    if (!news_) {
        TRY(news_,
            link_news_open(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                           RTMGRP_IPV6_ROUTE));
        read_ = false;
    }
    std::array<char, 32 * 1024> buffer;
    ssize_t got = 0;
    while ((got = ::recv(news_.get(), buffer.data(), buffer.size(), 0)) >= 0 || errno == ENOBUFS) {
        read_ = read_ && got >= 0 &&
                !tells_of_others({buffer.data(), static_cast<std::size_t>(got)}, own);
    }
    return !read_;
}

void HostSubnets::put(std::vector<LinkSubnet> subnets) {
    subnets_ = std::move(subnets);
    read_ = true;
}

std::vector<Subnet> HostSubnets::others(const std::set<int>& own, int except) const {
    std::vector<Subnet> found;
    for (const LinkSubnet& one : subnets_) {
        if (!own.contains(one.index) && (except == 0 || one.index != except)) {
            found.push_back(one.subnet);
        }
    }
    return found;
}

}  // namespace davit
