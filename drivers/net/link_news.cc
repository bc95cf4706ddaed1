#include "drivers/net/link_news.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "drivers/net/netlink.h"

namespace davit {

namespace {

/// A veth of a container, of whichever daemon: a port of a bridge.
constexpr std::string_view veth_prefix = "dve";
constexpr std::string_view bridge_prefix = "dv-";

bool link_matters(std::string_view attributes_bytes, const std::string& alias_prefix) {
    const NetlinkAttributes attributes(attributes_bytes);
    const std::string name = attributes.text(IFLA_IFNAME);
    const std::string alias = attributes.text(IFLA_IFALIAS);
    // A bridge is told of twice: when it is made, and when it gets the alias that says whose it is.
    const bool is_new = alias.empty() && name.starts_with(bridge_prefix);
    return !name.starts_with(veth_prefix) && !is_new && !alias.starts_with(alias_prefix);
}

}  // namespace

Result<Fd> link_news_open(std::uint32_t groups) {
    Fd events(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (!events ||
        ::bind(events.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
        return Error::from_errno(errno, "listen to links");
    }
    return events;
}

void link_news_drain(int socket, const std::string& alias_prefix, LinkNews& news) {
    std::array<char, 32 * 1024> buffer;
    ssize_t got = 0;
    while ((got = ::recv(socket, buffer.data(), buffer.size(), 0)) >= 0) {
        link_news_read({buffer.data(), static_cast<std::size_t>(got)}, alias_prefix, news);
    }
    news.matters |= errno == ENOBUFS;  // Some were lost.
}

void link_news_read(std::string_view datagram, const std::string& alias_prefix, LinkNews& news) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        nlmsghdr head{};
        std::memcpy(&head, datagram.data(), sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > datagram.size()) {
            news.matters = true;
            return;
        }
        const std::string_view body = datagram.substr(sizeof(head), head.nlmsg_len - sizeof(head));
        const bool is_link = head.nlmsg_type == RTM_NEWLINK || head.nlmsg_type == RTM_DELLINK;
        const bool is_address = head.nlmsg_type == RTM_NEWADDR || head.nlmsg_type == RTM_DELADDR;
        if (is_link && body.size() >= sizeof(ifinfomsg)) {
            news.matters |= link_matters(body.substr(sizeof(ifinfomsg)), alias_prefix);
        } else if (is_address && body.size() >= sizeof(ifaddrmsg)) {
            ifaddrmsg address{};
            std::memcpy(&address, body.data(), sizeof(address));
            news.addressed.insert(static_cast<int>(address.ifa_index));
        } else {
            news.matters = true;
        }
        const std::size_t step = (head.nlmsg_len + std::size_t{3}) & ~std::size_t{3};
        datagram.remove_prefix(std::min(datagram.size(), step));
    }
}

}  // namespace davit
