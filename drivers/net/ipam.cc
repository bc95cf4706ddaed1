#include "drivers/net/ipam.h"

#include <algorithm>

namespace davit {

namespace {

constexpr std::uint32_t octets(std::uint32_t a, std::uint32_t b) {
    return a << 24 | b << 16;
}

std::vector<SubnetPool> pools_make() {
    std::vector<SubnetPool> pools;
    for (std::uint32_t second = 17; second < 32; ++second) {
        pools.push_back({Subnet(IpAddress::v4(octets(172, second)), 16), 24});
    }
    pools.push_back({Subnet(IpAddress::v4(octets(192, 168)), 16), 24});
    return pools;
}

}  // namespace

std::span<const SubnetPool> subnet_pools_default() {
    static const std::vector<SubnetPool> pools = pools_make();
    return pools;
}

Result<Subnet> subnet_choose(std::span<const SubnetPool> pools, std::span<const Subnet> taken) {
    // As intervals in order, so that 4096 networks cost 4096 steps and not their square.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> busy;
    for (const Subnet& subnet : taken) {
        if (subnet.prefix() > 0) {  // A default route overlaps everything, and means nothing.
            busy.emplace_back(subnet.first(), subnet.last());
        }
    }
    std::ranges::sort(busy);
    for (const SubnetPool& pool : pools) {
        const std::uint64_t size = std::uint64_t{1} << (32 - pool.prefix);
        std::uint64_t at = pool.range.first();
        for (const auto& [first, last] : busy) {
            if (last < at || first > pool.range.last()) {
                continue;
            }
            if (first >= at + size) {
                break;
            }
            at = (last / size + 1) * size;
        }
        if (at + size - 1 <= pool.range.last()) {
            return Subnet(IpAddress::v4(static_cast<std::uint32_t>(at)), pool.prefix);
        }
    }
    return Error(ErrorKind::invalid_argument,
                 "all predefined address pools have been fully subnetted");
}

AddressPool::AddressPool(Subnet subnet, Subnet range)
    : subnet_(subnet), range_(range.unset() ? subnet : range), lowest_(range_.first()) {}

Result<IpAddress> AddressPool::allocate() {
    const bool whole = subnet_.prefix() >= 31;  // RFC 3021: both addresses are hosts'.
    const std::uint64_t first =
        std::max<std::uint64_t>(lowest_, std::uint64_t{subnet_.first()} + (whole ? 0 : 1));
    const std::uint64_t last =
        std::min<std::uint64_t>(range_.last(), std::uint64_t{subnet_.last()} - (whole ? 0 : 1));
    for (std::uint64_t at = first; at <= last; ++at) {
        const auto value = static_cast<std::uint32_t>(at);
        if (taken_.insert(value).second) {
            lowest_ = value + 1;
            return IpAddress::v4(value);
        }
    }
    return Error(ErrorKind::resource_exhausted,
                 "no available IPv4 addresses on this network's address pools: " + subnet_.str());
}

Result<void> AddressPool::take(const IpAddress& address) {
    if (!subnet_.contains(address)) {
        return Error(ErrorKind::invalid_argument,
                     "no configured subnet contains IP address " + address.str());
    }
    if (!taken_.insert(address.v4_value()).second) {
        return Error(ErrorKind::permission_denied, "Address already in use");
    }
    return ok;
}

void AddressPool::release(const IpAddress& address) {
    if (address.is_v4() && taken_.erase(address.v4_value()) > 0 && range_.contains(address)) {
        lowest_ = std::min(lowest_, address.v4_value());
    }
}

}  // namespace davit
