#pragma once
/// What the kernel tells of links and addresses (RTNLGRP_LINK, ...), and whether it may change what
/// the bridge driver's programs must know: not what every start, exit and new network of this
/// daemon's makes.
#include <set>
#include <string>
#include <string_view>

namespace davit {

struct LinkNews {
    /// Something else than addresses.
    bool matters = false;
    /// Links whose addresses changed.
    std::set<int> addressed = {};
};

/// Add what a datagram tells. Takes: alias_prefix, that of this daemon's own links.
void link_news_read(std::string_view datagram, const std::string& alias_prefix, LinkNews& news);

}  // namespace davit
