#pragma once
/// HostSubnets: what the host's routes and addresses lead to, read again only after the kernel has
/// told of a change that is not this daemon's: with thousands of networks the host has tens of
/// thousands of routes.
#include <set>
#include <string_view>
#include <vector>

#include "drivers/net/links.h"

namespace davit {

class HostSubnets {
  public:
    /// Whether they have to be read (subnets_read()) and put here. Takes: the links that are the
    /// daemon's own, whose changes do not count. Errors: of the socket that the kernel tells.
    Result<bool> stale(const std::set<int>& own);

    void put(std::vector<LinkSubnet> subnets);

    /// Without those of these links, and of one more; 0: of none.
    std::vector<Subnet> others(const std::set<int>& own, int except = 0) const;

    /// Whether a datagram of the kernel's tells of a route or address of another link than these.
    static bool tells_of_others(std::string_view datagram, const std::set<int>& own);

  private:
    Fd news_;
    bool read_ = false;
    std::vector<LinkSubnet> subnets_;
};

}  // namespace davit
