// Where a packet would go: which addresses are meant, and by which of its networks a container
// sends.
#include <netinet/in.h>

#include "jobs/container/field_check.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"

namespace davit {

namespace {

constexpr std::string_view host_name = "host";

Result<std::shared_ptr<Container>> running(const Daemon& daemon, const std::string& name) {
    TRY(std::shared_ptr<Container> container, daemon.containers.find(name));
    if (!container->run) {
        return Error(ErrorKind::conflict, "container " + name + " is not running");
    }
    return container;
}

}  // namespace

/// The address that the packet is sent to.
Result<IpAddress> Networks::trace_target(const NetworkTraceRequest& request,
                                         const Container* sender) const {
    if (const auto address = IpAddress::parse(request.to)) {
        return *address;
    }
    if (request.to == host_name) {
        if (request.from == host_name) {
            return IpAddress::v4(INADDR_LOOPBACK);
        }
        if (sender == nullptr) {
            return bad("say at which address of the host the packet arrives: --to ADDRESS");
        }
        for (const auto& [name, settings] : sender->record.networks) {
            if (const auto gateway = IpAddress::parse(settings.gateway)) {
                return *gateway;
            }
        }
        return bad("the container has no gateway: give an address, --to ADDRESS");
    }
    TRY(const auto target, running(daemon_, request.to));
    std::string first;
    for (const auto& [name, settings] : target->record.networks) {
        const bool shared = sender != nullptr && sender->record.networks.contains(name);
        if (!settings.ip_address.empty() && (first.empty() || shared)) {
            first = settings.ip_address;
        }
        if (shared) {
            break;
        }
    }
    if (first.empty()) {
        return Error(ErrorKind::not_found,
                     "container " + request.to + " has no address of its own");
    }
    return IpAddress::parse(first);
}

/// The network by which a container sends there: one that the address is in, else its gateway's.
Result<EndpointId> Networks::trace_endpoint(const Container& sender,
                                            const IpAddress& to,
                                            std::string& network) const {
    const EndpointSettings* way = nullptr;
    for (const auto& [name, settings] : sender.record.networks) {
        const auto id = NetworkId::parse(settings.network_id);
        const auto found = id ? networks_.find(*id) : networks_.end();
        if (found == networks_.end() || found->second->record.driver != "bridge") {
            continue;
        }
        const NetworkSpec& spec = found->second->spec;
        const bool is_near =
            spec.subnet.contains(to) || (!spec.subnet6.unset() && spec.subnet6.contains(to));
        const std::string& gateway = to.is_v4() ? settings.gateway : settings.ipv6_gateway;
        const auto before = [&] {
            return way == nullptr || settings.gw_priority > way->gw_priority;
        };
        if (is_near || (!gateway.empty() && before())) {
            way = &settings;
            network = name;
        }
        if (is_near) {
            break;
        }
    }
    if (way == nullptr) {
        return Error(ErrorKind::not_found,
                     "container " + sender.record.name.substr(1) + " has no route to " + to.str() +
                         " by a bridge network: it would not send");
    }
    return EndpointId::parse(way->endpoint_id);
}

Task<NetworkTrace> Networks::trace(NetworkTraceRequest request) {
    if (request.from == request.to && request.from != host_name) {
        co_return bad("--from and --to are the same");
    }
    std::shared_ptr<Container> sender;
    TraceRequest driven;
    driven.port = request.port;
    driven.protocol = request.protocol;
    if (is_address(request.from)) {
        CO_TRY(driven.from, IpAddress::parse(request.from));
    } else if (request.from != host_name) {
        CO_TRY(sender, running(daemon_, request.from));
    }
    CO_TRY(driven.to, trace_target(request, sender.get()));
    if (!driven.from.unset() && driven.from.is_v4() != driven.to.is_v4()) {
        co_return bad(driven.from.str() + " and " + driven.to.str() + " are not of one family");
    }
    NetworkTrace trace;
    if (sender) {
        CO_TRY(driven.endpoint, trace_endpoint(*sender, driven.to, trace.network));
    }
    CO_TRY(trace.outcome, co_await bridge_->trace(std::move(driven)));
    const TraceOutcome& outcome = trace.outcome;
    const IpAddress& last = outcome.translated ? outcome.translated->to : outcome.becomes.to;
    if (const auto receiver = container_of(last)) {
        trace.receiver = receiver->record.name.substr(1);
    }
    co_return std::move(trace);
}

}  // namespace davit
