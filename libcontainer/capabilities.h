#pragma once
/// Capabilities by name, as sets of bits.
///
/// Follows: capabilities(7); Docker Engine API HostConfig.CapAdd, HostConfig.CapDrop.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

/// Bit n is capability number n.
using CapabilitySet = std::uint64_t;

/// "CAP_NET_RAW" or "net_raw" in any case: its number. Errors: invalid_argument (no such
/// capability).
Result<unsigned> capability_number(std::string_view name);

/// "CAP_NET_RAW"; "" for a number that this program has no name for.
std::string_view capability_name(unsigned number);

constexpr CapabilitySet capability_bit(unsigned number) {
    return CapabilitySet{1} << number;
}

/// Docker's default fourteen.
CapabilitySet capabilities_default();

/// Every capability that the running kernel knows and this process may give (its bounding set).
CapabilitySet capabilities_available();

/// The set for `base` with the API's CapAdd and CapDrop merged as Docker merges them: ALL in add
/// gives every available one except those dropped by name; ALL in drop gives those added by name;
/// otherwise drop is taken out and add put in. Errors: invalid_argument: an unknown name, or an
/// added one that this host cannot give.
Result<CapabilitySet> capabilities_merge(CapabilitySet base,
                                         std::span<const std::string> add,
                                         std::span<const std::string> drop);

}  // namespace davit
