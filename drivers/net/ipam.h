#pragma once
/// IPAM: which subnets are free, and which addresses of a network's subnet are.
///
/// Values without a loop or a kernel: what is taken is the caller's to tell. Follows: Docker's
/// "default" IPAM driver, but for the size of the pools: they are cut small, so that thousands of
/// networks fit.
#include <set>
#include <span>
#include <vector>

#include "drivers/net/address.h"

namespace davit {

/// A pool of subnets, each of the given prefix length.
struct SubnetPool {
    Subnet range;
    unsigned prefix = 24;
};

/// 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16, cut into /24: 4096 networks.
std::span<const SubnetPool> subnet_pools_default();

/// Where IPv6 networks get theirs: a /48 of unique local addresses, cut into /64, that is the same
/// for one host always. Follows: moby's DeriveULABaseNetwork; RFC 4193 section 3.2.2.
SubnetPool subnet_pool6(std::string_view host_id);

/// The first subnet of the pools that overlaps none of the taken ones.
/// Errors: invalid_argument "all predefined address pools have been fully subnetted".
Result<Subnet> subnet_choose(std::span<const SubnetPool> pools, std::span<const Subnet> taken);

/// The addresses of one subnet. The first (the network's; of IPv6 that of all routers) and, of
/// IPv4, the last (broadcast) are never given out.
class AddressPool {
  public:
    AddressPool() = default;

    /// range: only addresses in it are given out without being asked for; unset: the subnet's.
    explicit AddressPool(Subnet subnet, Subnet range = {});

    const Subnet& subnet() const { return subnet_; }

    /// The lowest free one. Errors: resource_exhausted "no available IPv4 addresses on this
    /// network's address pools: ...", or IPv6.
    Result<IpAddress> allocate();

    /// This one. Errors: permission_denied "Address already in use"; invalid_argument (outside).
    Result<void> take(const IpAddress& address);

    /// Of the range, free or not.
    IpAddress::Number size() const { return range_.last().number() - range_.base().number() + 1; }

    void release(const IpAddress& address);

    std::size_t taken() const { return taken_.size(); }

  private:
    Subnet subnet_;
    Subnet range_;
    std::set<IpAddress> taken_;
    /// No free one is below: allocate() looks from here.
    IpAddress lowest_;
};

}  // namespace davit
