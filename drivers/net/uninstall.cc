#include "drivers/net/uninstall.h"

#include <algorithm>

#include "bpf/pins.h"
#include "drivers/net/filters.h"
#include "drivers/net/loopback.h"

namespace davit {

namespace {

/// lo is as it was before, unless another daemon of this host needs it.
Result<void> loopback_release(NetlinkSocket& socket, const BridgeDriverOptions& options) {
    TRY(const std::vector<FilterInfo> filters, filters_read(socket, loopback_index));
    const bool needed = std::ranges::any_of(
        filters, [](const FilterInfo& filter) { return filter_name_of(filter).has_value(); });
    return needed ? loopback_leave(options.loopback_note) : loopback_restore(options.loopback_note);
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
    TRY(NetworkPins pins, network_pins_read(options.pin_directory));
    TRY(done.links, network_links_delete(bridge_alias_prefix(options.owner), {}));
    TRY(const std::vector<LinkInfo> links, links_read(socket));
    for (const LinkInfo& link : links) {
        if (link.alias.starts_with(endpoint_alias_prefix(options.owner))) {
            continue;  // Goes with its namespace.
        }
        const Result<bool> released = filter_release(socket, link.index, options.owner);
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
