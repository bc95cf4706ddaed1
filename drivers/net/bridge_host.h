#pragma once
/// The host's side of the bridge driver: programs and pins, filters on the host's links, and what
/// the programs must know of its addresses. Functions for a worker thread, values in and out.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bpf/programs.h"
#include "drivers/net/driver.h"
#include "drivers/net/filters.h"
#include "drivers/net/links.h"
#include "drivers/net/netns.h"

namespace davit {

davit_address bpf_address(const IpAddress& address);
IpAddress address_from(const davit_address& address);

/// "davit:OWNER:" begins the alias of every link that is this daemon's.
std::string link_alias_prefix(const std::string& owner);
/// Any daemon's.
bool is_davits(const LinkInfo& link);
std::string bridge_alias(const std::string& owner, const NetworkId& network);
std::string endpoint_alias(const std::string& owner, const EndpointId& endpoint);
/// Of what a macvlan or ipvlan network hangs on, if davit made that.
std::string parent_alias(const std::string& owner, const NetworkId& network);
/// What comes before the id in each of these.
std::string bridge_alias_prefix(const std::string& owner);
std::string endpoint_alias_prefix(const std::string& owner);
std::string parent_alias_prefix(const std::string& owner);

/// Of a network number, for links that carry no alias yet.
std::string veth_name(const EndpointId& endpoint);

struct HostInstalled {
    std::unique_ptr<NetworkPrograms> programs;
    Fd netns;
};

/// Mount the bpffs if it is not, load, attach the socket hooks.
/// Errors: unsupported, in the user's words.
Result<HostInstalled> host_install(const BridgeDriverOptions& options);

/// Whether an earlier daemon's pins are there.
bool host_is_installed(const BridgeDriverOptions& options);

/// Links on which a filter of ours is.
using FilteredLinks = std::set<int>;

struct HostLinks {
    HostNetwork host;
    FilteredLinks filtered;
};

/// Read the host's network and put filters on the links that have none yet.
Result<HostLinks> host_links_follow(const BridgeDriverOptions& options,
                                    const NetworkPrograms& programs,
                                    FilteredLinks filtered);

/// A link that leads out of the host, or to others in it: not lo, not ours, no port of a bridge or
/// bond (that one is looked at itself), and with an Ethernet header or none.
bool is_uplink(const LinkInfo& link, const std::string& owner);

/// Delete the links whose aliases begin so and are not among the kept ones. Gives: their names.
Result<std::vector<std::string>> network_links_delete(const std::string& alias_prefix,
                                                      const std::set<std::string>& kept_aliases);

struct BridgeMade {
    int index = 0;
    MacAddress mac{};
};

/// Errors: conflict (a link of this name that is not ours).
Result<BridgeMade> bridge_make(const std::string& owner, const NetworkSpec& network, unsigned mtu);

/// Give up the pins, and with them the hooks, and the bpffs.
Result<void> host_uninstall(const BridgeDriverOptions& options);

}  // namespace davit
