#pragma once
/// davit's filters on links of the host: every daemon has its own, beside those of others.
///
/// Filters of one priority are asked one after the other as long as each passes
/// (TC_ACT_UNSPEC), so the programs of several daemons see every packet. Whose a filter is its name
/// tells, which the kernel keeps with it: it can be found without maps, pins or a daemon. Functions
/// for a worker thread.
#include <optional>
#include <string>
#include <string_view>

#include "drivers/net/links.h"

namespace davit {

/// Lower numbers run first; below it is room for those who want to see packets before davit.
inline constexpr std::uint16_t filter_priority = 0xda;

/// "davit_from_lo:OWNER:NOTE"; the note, and what is before it, may not be there.
struct FilterName {
    /// "davit_from_uplink", ...
    std::string program;
    /// BridgeDriverOptions::owner.
    std::string owner;
    std::string note = {};

    bool operator==(const FilterName&) const = default;
};

std::string filter_name_write(const FilterName& name);

/// Nothing: it is none of davit's.
std::optional<FilterName> filter_name_parse(std::string_view text);

/// A filter of davit's, of whichever daemon: its name.
std::optional<FilterName> filter_name_of(const FilterInfo& filter);

/// Put a program on a link, in the place of the one that its owner has there.
Result<void> filter_put(NetlinkSocket& socket, int index, int program_fd, const FilterName& name);

/// Take the owner's filter off a link, and the qdisc, unless others have filters there. Gives:
/// whether there was one.
Result<bool> filter_release(NetlinkSocket& socket, int index, const std::string& owner);

}  // namespace davit
