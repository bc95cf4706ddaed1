#pragma once
/// Links that hang on a link of the host: macvlan and ipvlan in containers, and what those hang on
/// where that has to be made: a VLAN of a link's, or a link that leads nowhere. All of it blocks
/// (drivers/net/netlink.h).
#include <string>

#include "drivers/net/links.h"

namespace davit {

struct ChildLinkRequest {
    /// "macvlan", "ipvlan".
    std::string kind;
    /// As the driver's options name it: "bridge", "l2", ...
    std::string mode;
    /// Of ipvlan: "bridge", "private", "vepa".
    std::string flag;
    std::string name;
    int parent_index = 0;
    /// It is born there.
    int netns_fd = -1;
    /// All zero: the parent's (ipvlan has no other), or one of the kernel's.
    MacAddress mac{};
    /// 0: the parent's.
    unsigned mtu = 0;
};

/// Whether a mode or flag is one. Takes: "" for the default.
bool macvlan_mode_known(const std::string& mode);
bool ipvlan_mode_known(const std::string& mode);
bool ipvlan_flag_known(const std::string& flag);

void child_link_add(NetlinkBatch& batch, const ChildLinkRequest& request);

/// Whether the kernel has a kind of links. Errors: of the socket's.
Result<bool> link_kind_known(NetlinkSocket& socket, const std::string& kind);

/// A pair of links of which nobody uses the second: what hangs on the first reaches its siblings
/// alone. Unlike a dummy link it is there wherever bridge networks are. name: "dm-" and more.
void isolated_parent_add(NetlinkBatch& batch, const std::string& name, const std::string& alias);

void vlan_add(NetlinkBatch& batch,
              const std::string& name,
              int parent_index,
              unsigned id,
              const std::string& alias);

struct VlanName {
    std::string link;
    unsigned id = 0;
};

/// "eth0.50". Errors: invalid_argument, in Docker's words.
Result<VlanName> vlan_name_parse(const std::string& name);

}  // namespace davit
