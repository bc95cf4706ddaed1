#pragma once
/// What the kernel tells of links and addresses (RTNLGRP_LINK, ...), and whether it may change what
/// the bridge driver's programs must know: not what every start, exit and new network of this
/// daemon's makes.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "reactor/base/fd.h"

namespace davit {

struct LinkNews {
    /// Something else than addresses.
    bool matters = false;
    /// Links whose addresses changed.
    std::set<int> addressed = {};
};

/// A socket that the kernel tells of what is in these groups (RTMGRP_*); it does not block.
Result<Fd> link_news_open(std::uint32_t groups);

/// Add what a datagram tells. Takes: alias_prefix, that of this daemon's own links.
void link_news_read(std::string_view datagram, const std::string& alias_prefix, LinkNews& news);

/// Add all that has come to a link_news_open().
void link_news_drain(int socket, const std::string& alias_prefix, LinkNews& news);

}  // namespace davit
