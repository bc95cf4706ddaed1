#include "drivers/net/uninstall.h"

#include <algorithm>

#include "bpf/pins.h"
#include "drivers/net/loopback.h"

namespace davit {

namespace {

constexpr int loopback_index = 1;

bool is_filter(const FilterInfo& filter) {
    return filter.priority == filter_priority && filter.name.starts_with(filter_name_prefix);
}

/// Take our filter off a link, and the qdisc, unless others have filters there. Gives: whether
/// there was one; one of another daemon's stays.
Result<bool> filter_release(NetlinkSocket& socket, int index, const NetworkPins& pins) {
    TRY(const std::vector<FilterInfo> filters, filters_read(socket, index));
    const bool ours = std::ranges::any_of(filters, [&](const FilterInfo& filter) {
        return is_filter(filter) && program_uses(filter.program_id, pins.map_ids);
    });
    if (!ours) {
        return false;
    }
    NetlinkBatch filter;
    filter_delete(filter, index, filter_priority);
    TRY_VOID(socket.run(filter));
    TRY(const bool used, clsact_is_used(socket, index));
    if (!used) {
        NetlinkBatch qdisc;
        clsact_delete(qdisc, index);
        TRY_VOID(socket.run(qdisc));
    }
    return true;
}

/// lo is as it was before, unless another daemon of this host needs it.
Result<void> loopback_release(NetlinkSocket& socket, const BridgeDriverOptions& options) {
    TRY(const std::vector<FilterInfo> filters, filters_read(socket, loopback_index));
    if (std::ranges::any_of(filters, is_filter)) {
        return ok;
    }
    return loopback_restore(options.loopback_note);
}

}  // namespace

Result<std::vector<std::string>> network_endpoints_present(const std::string& owner) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY(const std::vector<LinkInfo> links, links_read(socket));
    const std::string prefix = endpoint_alias_prefix(owner);
    std::vector<std::string> ids;
    for (const LinkInfo& link : links) {
        if (link.alias.starts_with(prefix)) {
            ids.push_back(link.alias.substr(prefix.size()));
        }
    }
    return ids;
}

Result<NetworkUninstalled> network_uninstall(const BridgeDriverOptions& options) {
    NetworkUninstalled done;
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    // The pins tell which filters are ours: they go last.
    TRY(NetworkPins pins, network_pins_read(options.pin_directory));
    TRY(done.links, network_links_delete(bridge_alias_prefix(options.owner), {}));
    TRY(const std::vector<LinkInfo> links, links_read(socket));
    for (const LinkInfo& link : links) {
        if (link.alias.starts_with(endpoint_alias_prefix(options.owner))) {
            continue;  // Goes with its namespace.
        }
        const Result<bool> released = filter_release(socket, link.index, pins);
        if (!released && released.error().errno_value() != ENODEV) {
            return released.error();
        }
        if (released && *released) {
            done.filtered.push_back(link.name);
        }
    }
    TRY_VOID(loopback_release(socket, options));
    TRY_VOID(host_uninstall(options));
    done.hooks = std::move(pins.hooks);
    done.maps = std::move(pins.maps);
    return done;
}

}  // namespace davit
