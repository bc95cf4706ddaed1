// macvlan and ipvlan: links of containers that hang on a link of the host. Their packets are no
// business of the host's: nothing is published, and nothing stands in their way.
#include <algorithm>
#include <map>

#include "drivers/net/child_host.h"
#include "reactor/async_event.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"

namespace davit {

namespace {

class ChildDriver final : public NetworkDriver {
  public:
    explicit ChildDriver(std::string owner) : owner_(std::move(owner)) {}

    std::string_view name() const override { return "macvlan"; }

    Task<void> network_make(NetworkSpec network) override;
    Task<void> network_remove(NetworkSpec network) override;
    Task<EndpointsAttached> attach(EndpointsRequest request) override;
    Task<void> adopt(EndpointsRequest request) override;
    void detach(const EndpointId& endpoint) override;
    Task<void> disconnect(EndpointId endpoint) override;
    Task<void> sweep(std::vector<NetworkSpec> known) override;
    Task<void> close() override;

  private:
    struct Held {
        std::string interface;
        /// Taking the link out again needs it.
        Fd netns;
    };

    Task<void> leave(Held held);
    Task<NetworkNamespace> make(EndpointsRequest& request, bool adopted);

    std::string owner_;
    AsyncMutex turn_;
    std::map<EndpointId, Held> endpoints_;
    TaskGroup leaving_{GroupPolicy::independent};
    /// Networks whose parent is there.
    std::map<NetworkId, NetworkSpec> made_;
};

Task<void> ChildDriver::network_make(NetworkSpec network) {
    CO_TRY(const auto permit, co_await turn_.lock());
    auto work = [owner = owner_, network]() { return child_parent_make(owner, network); };
    CO_TRY([[maybe_unused]] const int index, co_await offload(std::move(work)));
    made_.insert_or_assign(network.id, network);
    co_return ok;
}

Task<void> ChildDriver::network_remove(NetworkSpec network) {
    CO_TRY(const auto permit, co_await turn_.lock());
    made_.erase(network.id);
    auto work = [owner = owner_, network]() { return child_parent_delete(owner, network); };
    co_return co_await offload(std::move(work));
}

/// Links, or a look at those that are there, and what is remembered of them.
Task<NetworkNamespace> ChildDriver::make(EndpointsRequest& request, bool adopted) {
    CO_TRY(const auto permit, co_await turn_.lock());
    auto work = [owner = owner_,
                 endpoints = request.endpoints,
                 pidfd = request.pidfd,
                 netns = std::move(request.netns),
                 adopted]() mutable -> Result<NetworkNamespace> {
        ChildJob job;
        job.pidfd = pidfd;
        job.netns = std::move(netns);
        job.adopt = adopted;
        for (const EndpointSpec& spec : endpoints) {
            // Each time: a parent may have gone and come, with another index.
            TRY(const int parent, child_parent_make(owner, spec.network));
            job.targets.push_back({spec, parent});
        }
        return children_make(job);
    };
    CO_TRY(NetworkNamespace netns, co_await offload(std::move(work)));
    for (const EndpointSpec& spec : request.endpoints) {
        made_.insert_or_assign(spec.network.id, spec.network);
        CO_TRY(Fd kept, Fd::duplicate(netns.fd.get()));
        endpoints_.insert_or_assign(spec.id, Held{spec.interface, std::move(kept)});
    }
    co_return std::move(netns);
}

Task<EndpointsAttached> ChildDriver::attach(EndpointsRequest request) {
    CO_TRY(NetworkNamespace netns, co_await make(request, false));
    EndpointsAttached attached;
    attached.netns = std::move(netns.fd);
    attached.netns_cookie = netns.cookie;
    attached.ports.resize(request.endpoints.size());
    co_return std::move(attached);
}

Task<void> ChildDriver::adopt(EndpointsRequest request) {
    CO_TRY([[maybe_unused]] const NetworkNamespace netns, co_await make(request, true));
    co_return ok;
}

/// Delete a link. It would go with its namespace, but some time after: until then no link of the
/// same parent can be up with its MAC address, which is that of an address that is given out again.
/// Whoever attaches after this waits for it.
Task<void> ChildDriver::leave(Held held) {
    CO_TRY(const auto permit, co_await turn_.lock());
    auto work = [held = std::move(held)]() {
        return child_delete(held.netns.get(), held.interface);
    };
    co_return co_await offload(std::move(work));
}

void ChildDriver::detach(const EndpointId& endpoint) {
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end()) {
        return;
    }
    Held held = std::move(found->second);
    endpoints_.erase(found);
    leaving_.spawn(leave(std::move(held)));
}

Task<void> ChildDriver::disconnect(EndpointId endpoint) {
    const auto found = endpoints_.find(endpoint);
    if (found == endpoints_.end()) {
        co_return ok;
    }
    Held held = std::move(found->second);
    endpoints_.erase(found);
    co_return co_await leave(std::move(held));
}

Task<void> ChildDriver::sweep(std::vector<NetworkSpec> known) {
    auto work = [owner = owner_, known = std::move(known)]() {
        return child_parents_sweep(owner, known);
    };
    co_return co_await offload(std::move(work));
}

Task<void> ChildDriver::close() {
    static_cast<void>(co_await leaving_.join());
    if (made_.empty() || !endpoints_.empty()) {
        co_return ok;
    }
    made_.clear();
    std::vector<NetworkSpec> none;
    co_return co_await sweep(std::move(none));
}

}  // namespace

std::unique_ptr<NetworkDriver> child_driver_make(std::string owner) {
    return std::make_unique<ChildDriver>(std::move(owner));
}

}  // namespace davit
