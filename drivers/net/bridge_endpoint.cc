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
        request.address = target.spec.address;
        request.prefix = target.spec.network.subnet.prefix();
        if (target.spec.default_route) {
            request.gateway = target.spec.network.gateway;
        }
        interfaces.push_back(std::move(request));
    }
    return indices;
}

Result<void> links_make(const EndpointsJob& job, NetlinkSocket& host, EndpointsMade& made) {
    NetlinkBatch pairs;
    for (const EndpointTarget& target : job.targets) {
        VethRequest request;
        request.name = veth_name(target.spec.id);
        request.alias = endpoint_alias(job.owner, target.spec.id);
        request.bridge_index = target.bridge_index;
        request.netns_fd = made.netns.fd.get();
        request.peer_name = target.spec.interface;
        request.peer_mac = target.spec.mac;
        request.mtu = target.mtu;
        veth_add(pairs, request);
    }
    return host.run(pairs);
}

Result<void> links_configure(const EndpointsJob& job, NetlinkSocket& host, EndpointsMade& made) {
    TRY(const std::vector<LinkInfo> inside, links_read(made.netns.socket));
    std::vector<InterfaceRequest> interfaces;
    TRY(const std::vector<int> indices, indices_find(inside, job.targets, interfaces));
    NetlinkBatch filters;
    for (const int index : indices) {
        made.endpoints.emplace_back().index = index;
        if (!job.adopt) {
            clsact_add(filters, index);
        }
        filter_add(filters, index, job.from_container_fd, "davit_from_container", filter_priority);
    }
    TRY_VOID(host.run(filters));
    if (job.adopt) {
        return ok;
    }
    NetlinkBatch settings;
    if (job.pidfd < 0) {
        loopback_up(settings);
    }
    for (const InterfaceRequest& request : interfaces) {
        interface_configure(settings, request);
    }
    return made.netns.socket.run(settings);
}

Result<void> ports_hold(const EndpointsJob& job, EndpointsMade& made) {
    for (std::size_t i = 0; i < job.targets.size(); ++i) {
        for (const PortSpec& port : job.targets[i].spec.ports) {
            Result<PortHold> hold = port_hold(port, job.hooks);
            if (!hold && job.adopt) {
                // It works without; and is held as soon as the container starts again.
                LOG_WARN("network: {}, ignoring: it stays published", hold.error().message());
                hold = PortHold{port, Fd()};
            }
            if (!hold) {
                return std::move(hold).error();
            }
            made.endpoints[i].holds.push_back(*std::move(hold));
        }
    }
    return ok;
}

}  // namespace

Result<EndpointsMade> endpoints_make(const EndpointsJob& job) {
    TRY(NetlinkSocket host, NetlinkSocket::open());
    const int entered = job.netns ? job.netns.get() : job.pidfd;
    Result<NetworkNamespace> netns =
        entered < 0 ? netns_make(job.host_netns) : netns_of(entered, job.host_netns);
    if (!netns) {
        return std::move(netns).error();
    }
    EndpointsMade made{*std::move(netns), {}};
    Result<void> done = ok;
    if (!job.adopt) {
        done = links_make(job, host, made);
    }
    if (done) {
        done = links_configure(job, host, made);
    }
    if (done) {
        done = ports_hold(job, made);
    }
    if (done) {
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
