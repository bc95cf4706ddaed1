// A container's networks may be of several drivers: what each of them is asked, and who answers
// names where no network has a gateway of the host's.
#include <algorithm>

#include "drivers/net/netns.h"
#include "jobs/daemon.h"
#include "jobs/network/networks_plan.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// 127.0.0.11, where the container believes the resolver to be. On another port, so that its own
/// name server can have 53.
const IpAddress resolver_inside = IpAddress::v4(0x7f00000b);

struct SocketsInside {
    ResolverSockets sockets;
    std::uint64_t netns_cookie = 0;
};

/// For a worker thread.
Result<SocketsInside> sockets_inside(int netns) {
    SocketsInside inside;
    const auto act = [&]() -> Result<void> {
        TRY(inside.sockets, resolver_sockets_make(resolver_inside));
        TRY(inside.netns_cookie, netns_cookie());
        return ok;
    };
    TRY_VOID(netns_visit(netns, act));
    return inside;
}

}  // namespace

/// The bridge's part first: it makes the namespace. All of it, or nothing.
Task<EndpointsAttached> Networks::drivers_attach(Plan& plan) {
    EndpointsRequest hanging;
    hanging.endpoints = std::move(plan.hanging);
    hanging.pidfd = plan.request.pidfd;
    const bool alive = hanging.pidfd >= 0;
    EndpointsAttached attached;
    std::vector<EndpointId> bridged;
    if (plan.request.endpoints.empty()) {
        hanging.netns = std::move(plan.request.netns);
    } else {
        for (const EndpointSpec& spec : plan.request.endpoints) {
            bridged.push_back(spec.id);
        }
        CO_TRY(attached, co_await bridge_->attach(std::move(plan.request)));
    }
    if (hanging.endpoints.empty()) {
        co_return std::move(attached);
    }
    Result<EndpointsAttached> hung = Error(ErrorKind::internal, "not asked");
    Result<Fd> netns = Fd();
    if (!bridged.empty() && !alive) {
        netns = Fd::duplicate(attached.netns.get());
        hanging.netns = netns ? *std::move(netns) : Fd();
    }
    if (netns) {
        hung = co_await hanging_->attach(std::move(hanging));
    } else {
        hung = std::move(netns).error();
    }
    if (!hung) {
        for (const EndpointId& endpoint : bridged) {
            if (alive) {
                static_cast<void>(co_await shielded(bridge_->disconnect(endpoint)));
            } else {
                bridge_->detach(endpoint);
            }
        }
        co_return std::move(hung).error();
    }
    if (bridged.empty()) {
        attached = *std::move(hung);
        attached.ports.clear();
    }
    co_return std::move(attached);
}

Task<void> Networks::drivers_adopt(Plan& plan) {
    if (!plan.hanging.empty()) {
        EndpointsRequest hanging;
        hanging.endpoints = std::move(plan.hanging);
        hanging.pidfd = plan.request.pidfd;
        CO_CHECK(co_await hanging_->adopt(std::move(hanging)));
    }
    if (!plan.request.endpoints.empty()) {
        CO_CHECK(co_await bridge_->adopt(std::move(plan.request)));
    }
    co_return ok;
}

/// Where only macvlan and ipvlan networks have names for a container, its resolver listens in its
/// own namespace (`netns`, of it or of its process), and the socket hooks lead there. Gives:
/// whether names are answered, by whichever resolver; without BPF they are not.
Task<bool> Networks::resolver_keep(Container& container, int netns) {
    const auto has = [&](bool hanging) {
        return std::ranges::any_of(container.record.networks, [&](const auto& item) {
            const auto network = find(item.first);
            return network && !(*network)->record.is_builtin() &&
                   (*network)->record.hangs() == hanging;
        });
    };
    if (has(false) || !has(true)) {
        co_return has(false);  // The resolver of that network does.
    }
    IpAddress asker;
    for (const auto& [name, settings] : container.record.networks) {
        if (const auto address = IpAddress::parse(settings.ip_address)) {
            asker = *address;
        }
    }
    CO_TRY(Fd kept, Fd::duplicate(netns));
    auto work = [kept = std::move(kept)]() { return sockets_inside(kept.get()); };
    Result<SocketsInside> inside = co_await offload(std::move(work));
    if (!inside) {
        co_return std::move(inside).error();
    }
    const std::uint16_t port = inside->sockets.port;
    const Result<void> led =
        co_await bridge_->resolver_set(inside->netns_cookie, resolver_inside, port);
    if (!led) {
        LOG_WARN("container={}: names are not answered: {}, ignoring",
                 container.id().short_id(),
                 led.error().message());
        co_return false;
    }
    resolver_drop(container.id(), inside->netns_cookie);
    OwnResolver own;
    own.netns_cookie = inside->netns_cookie;
    CO_TRY(own.resolver, NetworkResolver::open(std::move(inside->sockets), asker, *this));
    own_resolvers_.insert_or_assign(container.id(), std::move(own));
    co_return true;
}

Task<void> Networks::resolver_close(std::unique_ptr<NetworkResolver> resolver) {
    co_return co_await resolver->close();
}

/// kept: of a namespace whose names go on being answered, by another one.
void Networks::resolver_drop(const ContainerId& container, std::uint64_t kept) {
    const auto found = own_resolvers_.find(container);
    if (found == own_resolvers_.end()) {
        return;
    }
    OwnResolver own = std::move(found->second);
    own_resolvers_.erase(found);
    if (own.netns_cookie != kept) {
        bridge_->resolver_forget(own.netns_cookie);
    }
    closing_.spawn(resolver_close(std::move(own.resolver)));
}

}  // namespace davit
