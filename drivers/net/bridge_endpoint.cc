#include "drivers/net/bridge_endpoint.h"

#include <algorithm>

#include "drivers/net/bridge_host.h"
#include "drivers/net/links.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

/// The host's ends of the pairs, in the order of the targets.
Result<std::vector<int>> indices_find(const std::vector<LinkInfo>& inside,
                                      const std::vector<EndpointTarget>& targets,
                                      std::vector<InterfaceRequest>& interfaces) {
    std::vector<int> indices;
    for (const EndpointTarget& target : targets) {
        const auto link = std::ranges::find(inside, target.spec.mac, &LinkInfo::mac);
        if (link == inside.end() || link->peer == 0) {
            return Error(ErrorKind::not_found,
                         "interface " + target.spec.interface + " is not in the container");
        }
        indices.push_back(link->peer);
        InterfaceRequest request;
        request.index = link->index;
        request.name = target.spec.interface;
        const auto& [spec, bridge_index, mtu] = target;
        request.addresses.push_back({spec.address, spec.network.subnet.prefix()});
        if (spec.default_route) {
            request.gateways.push_back(spec.network.gateway);
        }
        if (!spec.address6.unset()) {
            request.addresses.push_back({spec.address6, spec.network.subnet6.prefix()});
        }
        if (spec.default_route6) {
            request.gateways.push_back(spec.network.gateway6);
        }
        interfaces.push_back(std::move(request));
    }
    return indices;
}

Result<void> links_make(const EndpointsJob& job,
                        NetlinkSocket& host,
                        const NetworkNamespace& netns) {
    NetlinkBatch pairs;
    for (const EndpointTarget& target : job.targets) {
        VethRequest request;
        request.name = veth_name(target.spec.id);
        request.alias = endpoint_alias(job.owner, target.spec.id);
        request.bridge_index = target.bridge_index;
        request.netns_fd = netns.fd.get();
        request.peer_name = target.spec.interface;
        request.peer_mac = target.spec.mac;
        request.mtu = target.mtu;
        veth_add(pairs, request);
    }
    return host.run(pairs);
}

Result<void> links_configure(const EndpointsJob& job,
                             NetlinkSocket& host,
                             NetworkNamespace& netns,
                             EndpointsMade& made) {
    TRY(const std::vector<LinkInfo> inside, links_read(netns.socket));
    std::vector<InterfaceRequest> interfaces;
    TRY(const std::vector<int> indices, indices_find(inside, job.targets, interfaces));
    NetlinkBatch ports;
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const int index = indices[i];
        made.endpoints.emplace_back().index = index;
        if (!job.adopt) {
            clsact_add(ports, index);
        }
        bridge_address_set(ports, index, job.targets[i].spec.mac);
        filter_add(ports, index, job.from_container_fd, "davit_from_container", filter_priority);
    }
    TRY_VOID(host.run(ports));
    if (job.adopt) {
        return ok;
    }
    std::vector<std::string> with_ipv6;
    for (const EndpointTarget& target : job.targets) {
        if (!target.spec.address6.unset()) {
            with_ipv6.push_back(target.spec.interface);
        }
    }
    TRY_VOID(netns_ipv6_enable(netns, job.host_netns, with_ipv6));
    NetlinkBatch settings;
    if (job.pidfd < 0) {
        loopback_up(settings);
    }
    for (const InterfaceRequest& request : interfaces) {
        interface_configure(settings, request);
    }
    return netns.socket.run(settings);
}

Result<void> ports_take(const EndpointsJob& job, EndpointsMade& made) {
    for (std::size_t i = 0; i < job.targets.size(); ++i) {
        const std::vector<PortSpec>& ports = job.targets[i].spec.ports;
        std::vector<PortHold>& holds = made.endpoints[i].holds;
        if (!job.adopt) {
            TRY(holds, ports_hold(ports, job.hooks));
            continue;
        }
        for (const PortSpec& port : ports) {
            Result<PortHold> hold = port_hold(port, job.hooks);
            if (!hold) {
                // It works without; and is held as soon as the container starts again.
                LOG_WARN("network: {}, ignoring: it stays published", hold.error().message());
                hold = PortHold{port, Fd()};
            }
            holds.push_back(*std::move(hold));
        }
    }
    return ok;
}

}  // namespace

Result<EndpointsMade> endpoints_make(const EndpointsJob& job) {
    TRY(NetlinkSocket host, NetlinkSocket::open());
    Result<NetworkNamespace> netns = job.pidfd < 0 ? netns_make(job.host_netns, job.netns.get())
                                                   : netns_of(job.pidfd, job.host_netns);
    if (!netns) {
        return std::move(netns).error();
    }
    EndpointsMade made;
    Result<void> done = ok;
    if (!job.adopt) {
        done = links_make(job, host, *netns);
    }
    if (done) {
        done = links_configure(job, host, *netns, made);
    }
    if (done) {
        done = ports_take(job, made);
    }
    if (done) {
        made.netns = std::move(netns->fd);
        made.netns_cookie = netns->cookie;
        return made;
    }
    if (job.pidfd >= 0 && !job.adopt) {
        for (const EndpointTarget& target : job.targets) {
            NetlinkBatch batch;
            link_delete(batch, 0, veth_name(target.spec.id));
            static_cast<void>(host.run(batch));  // It may not be there yet.
        }
    }
    return std::move(done).error();
}

Result<void> endpoint_delete(int host_index) {
    TRY(NetlinkSocket host, NetlinkSocket::open());
    NetlinkBatch batch;
    link_delete(batch, host_index, "of an endpoint");
    return host.run(batch);
}

}  // namespace davit
