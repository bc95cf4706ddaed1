#include "drivers/net/child_host.h"

#include <linux/if_arp.h>

#include <algorithm>
#include <cerrno>

#include "drivers/net/bridge_host.h"
#include "drivers/net/child_links.h"

namespace davit {

namespace {

Error no_parent(const NetworkSpec& network, const std::string& why) {
    return Error(
        ErrorKind::invalid_argument,
        network.interface + " cannot be the parent of a " + network.kind + " network: " + why);
}

Result<void> kind_check(NetlinkSocket& socket, const std::string& kind) {
    TRY(const bool known, link_kind_known(socket, kind));
    if (!known) {
        return Error(ErrorKind::unsupported, "this host's kernel has no " + kind + " links");
    }
    return ok;
}

Result<void> vlan_make(NetlinkSocket& socket,
                       const HostNetwork& host,
                       const NetworkSpec& network,
                       const std::string& alias) {
    TRY(const VlanName vlan, vlan_name_parse(network.interface));
    const LinkInfo* link = host.find(vlan.link);
    if (link == nullptr) {
        return Error(ErrorKind::not_found,
                     "failed to find master interface " + vlan.link + " on the host for " +
                         network.interface);
    }
    TRY_VOID(kind_check(socket, "vlan"));
    NetlinkBatch batch;
    vlan_add(batch, network.interface, link->index, vlan.id, alias);
    return socket.run(batch);
}

std::vector<InterfaceRequest> interfaces_of(const std::vector<LinkInfo>& inside,
                                            const std::vector<ChildTarget>& targets) {
    std::vector<InterfaceRequest> requests;
    for (const auto& [spec, parent_index] : targets) {
        const auto link = std::ranges::find(inside, spec.interface, &LinkInfo::name);
        if (link == inside.end()) {
            return {};
        }
        InterfaceRequest& request = requests.emplace_back();
        request.index = link->index;
        request.name = spec.interface;
        request.addresses.push_back({spec.address, spec.network.subnet.prefix()});
        if (!spec.address6.unset()) {
            request.addresses.push_back({spec.address6, spec.network.subnet6.prefix()});
        }
        // Layer 3 has no neighbours that could be a gateway: the link itself leads everywhere.
        const bool is_layer3 = spec.network.mode.starts_with("l3");
        if (spec.default_route) {
            request.gateways.push_back(is_layer3 ? IpAddress::v4(0) : spec.network.gateway);
        }
        if (spec.default_route6) {
            request.gateways.push_back(is_layer3 ? IpAddress() : spec.network.gateway6);
        }
    }
    return requests;
}

Result<void> links_add(const ChildJob& job, NetlinkSocket& host, const NetworkNamespace& netns) {
    NetlinkBatch batch;
    for (const auto& [spec, parent_index] : job.targets) {
        ChildLinkRequest request;
        request.kind = spec.network.kind;
        request.mode = spec.network.mode;
        request.flag = spec.network.flag;
        request.name = spec.interface;
        request.parent_index = parent_index;
        request.netns_fd = netns.fd.get();
        request.mac = request.kind == "macvlan" ? spec.mac : MacAddress{};
        request.mtu = spec.network.mtu;
        child_link_add(batch, request);
    }
    return host.run(batch);
}

Result<void> links_configure(const ChildJob& job, int host, NetworkNamespace& netns) {
    TRY(const std::vector<LinkInfo> inside, links_read(netns.socket));
    const std::vector<InterfaceRequest> requests = interfaces_of(inside, job.targets);
    if (requests.size() != job.targets.size()) {
        return Error(ErrorKind::not_found, "an interface is not in the container");
    }
    if (job.adopt) {
        return ok;
    }
    std::vector<std::string> with_ipv6;
    for (const auto& [spec, parent_index] : job.targets) {
        if (!spec.address6.unset()) {
            with_ipv6.push_back(spec.interface);
        }
    }
    TRY_VOID(netns_ipv6_enable(netns, host, with_ipv6));
    NetlinkBatch settings;
    if (job.pidfd < 0) {
        loopback_up(settings);
    }
    for (const InterfaceRequest& request : requests) {
        interface_configure(settings, request);
    }
    return netns.socket.run(settings);
}

}  // namespace

Result<int> child_parent_make(const std::string& owner, const NetworkSpec& network) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY_VOID(kind_check(socket, network.kind));
    const std::string alias = parent_alias(owner, network.id);
    HostNetwork host;
    TRY(host.links, links_read(socket));
    if (host.find(network.interface) == nullptr) {
        if (network.isolated) {
            NetlinkBatch batch;
            isolated_parent_add(batch, network.interface, alias);
            TRY_VOID(socket.run(batch));
        } else {
            TRY_VOID(vlan_make(socket, host, network, alias));
        }
        TRY(host.links, links_read(socket));
    }
    const LinkInfo* link = host.find(network.interface);
    if (link == nullptr) {
        return Error(ErrorKind::internal, "link " + network.interface + " vanished");
    }
    if (network.isolated && link->alias != alias) {
        return Error(ErrorKind::conflict, "the host has a link " + network.interface + " already");
    }
    if (link->type == ARPHRD_LOOPBACK) {
        return Error(ErrorKind::invalid_argument,
                     "loopback interface is not a valid " + network.kind + " parent link");
    }
    if (link->type != ARPHRD_ETHER) {
        return no_parent(network, "it has no Ethernet header");
    }
    if (link->master != 0 && network.kind == "macvlan") {
        return no_parent(network, "it is a port of another link");
    }
    return link->index;
}

Result<void> child_parent_delete(const std::string& owner, const NetworkSpec& network) {
    TRY_VOID(network_links_delete(parent_alias(owner, network.id), {}));
    return ok;
}

Result<void> child_parents_sweep(const std::string& owner, const std::vector<NetworkSpec>& known) {
    std::set<std::string> kept;
    for (const NetworkSpec& network : known) {
        kept.insert(parent_alias(owner, network.id));
    }
    TRY_VOID(network_links_delete(parent_alias_prefix(owner), kept));
    return ok;
}

Result<NetworkNamespace> children_make(const ChildJob& job) {
    TRY(NetlinkSocket host, NetlinkSocket::open());
    TRY(const Fd here, netns_current());
    Result<NetworkNamespace> netns =
        job.pidfd < 0 ? netns_make(here.get(), job.netns.get()) : netns_of(job.pidfd, here.get());
    if (!netns) {
        return netns;
    }
    Result<void> done = job.adopt ? Result<void>(ok) : links_add(job, host, *netns);
    if (done) {
        done = links_configure(job, here.get(), *netns);
    }
    if (done) {
        return netns;
    }
    if (!job.adopt) {
        for (const auto& [spec, parent_index] : job.targets) {
            NetlinkBatch batch;
            link_delete(batch, 0, spec.interface);
            static_cast<void>(netns->socket.run(batch));  // It may not be there yet.
        }
    }
    return std::move(done).error();
}

Result<void> child_delete(int netns_fd, const std::string& interface) {
    TRY(const Fd here, netns_current());
    TRY(NetworkNamespace netns, netns_of(netns_fd, here.get()));
    NetlinkBatch batch;
    link_delete(batch, 0, interface);
    return netns.socket.run(batch);
}

}  // namespace davit
