#include "drivers/net/ipam.h"

#include <algorithm>

#include "reactor/base/digest.h"

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

SubnetPool subnet_pool6(std::string_view host_id) {
    constexpr std::size_t global_id_digits = 10;
    constexpr std::size_t global_id_at = 6;
    const Digest digest = sha256_of(host_id);
    const std::string global_id(digest.hex().substr(global_id_at, global_id_digits));
    const IpAddress::Number number = IpAddress::Number{0xfd} << 120 |
                                     IpAddress::Number{std::stoull(global_id, nullptr, 16)} << 80;
    return {Subnet(IpAddress::from_number(number), 48), 64};
}

Result<Subnet> subnet_choose(std::span<const SubnetPool> pools, std::span<const Subnet> taken) {
    // As intervals in order, so that 4096 networks cost 4096 steps and not their square.
    using Number = IpAddress::Number;
    std::vector<std::pair<Number, Number>> busy;
    for (const Subnet& subnet : taken) {
        if (subnet.prefix() > 0) {  // A default route overlaps everything, and means nothing.
            busy.emplace_back(subnet.base().number(), subnet.last().number());
        }
    }
    std::ranges::sort(busy);
    for (const SubnetPool& pool : pools) {
        const Number size = Number{1} << ((pool.range.is_v4() ? 32 : 128) - pool.prefix);
        const Number end = pool.range.last().number();
        Number at = pool.range.base().number();
        for (const auto& [first, last] : busy) {
            if (last < at || first > end) {
                continue;
            }
            if (first >= at + size) {
                break;
            }
            at = (last / size + 1) * size;
        }
        if (at + size - 1 <= end) {
            return Subnet(IpAddress::from_number(at), pool.prefix);
        }
    }
    return Error(ErrorKind::invalid_argument,
                 "all predefined address pools have been fully subnetted");
}

AddressPool::AddressPool(Subnet subnet, Subnet range)
    : subnet_(subnet), range_(range.unset() ? subnet : range), lowest_(range_.base()) {}

Result<IpAddress> AddressPool::allocate() {
    // RFC 3021, RFC 6164: both addresses are hosts'.
    const bool whole = subnet_.prefix() >= (subnet_.is_v4() ? 31 : 127);
    const auto at_least = subnet_.base().number() + (whole ? 0 : 1);
    const auto at_most = subnet_.last().number() - (whole || !subnet_.is_v4() ? 0 : 1);
    const auto last = std::min(range_.last().number(), at_most);
    for (auto at = std::max(lowest_.number(), at_least); at <= last; ++at) {
        const IpAddress address = IpAddress::from_number(at);
        if (taken_.insert(address).second) {
            lowest_ = IpAddress::from_number(at + 1);
            return address;
        }
    }
    return Error(ErrorKind::resource_exhausted,
                 std::string("no available ") + (subnet_.is_v4() ? "IPv4" : "IPv6") +
                     " addresses on this network's address pools: " + subnet_.str());
}

Result<void> AddressPool::take(const IpAddress& address) {
    if (!subnet_.contains(address)) {
        return Error(ErrorKind::invalid_argument,
                     "no configured subnet contains IP address " + address.str());
    }
    if (!taken_.insert(address).second) {
        return Error(ErrorKind::permission_denied, "Address already in use");
    }
    return ok;
}

void AddressPool::release(const IpAddress& address) {
    if (taken_.erase(address) > 0 && range_.contains(address)) {
        lowest_ = std::min(lowest_, address);
    }
}

}  // namespace davit
