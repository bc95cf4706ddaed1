// One network more, or less, for a container that may be running.
#include <algorithm>

#include "jobs/container/sandbox_files.h"
#include "jobs/container_links.h"
#include "jobs/daemon.h"
#include "jobs/network/networks_plan.h"
#include "reactor/base/log.h"

namespace davit {

namespace {

Error forbidden(std::string message) {
    return Error(ErrorKind::permission_denied, std::move(message));
}

/// Whether a container may be in one more network. Follows: moby's runconfig errors.
Result<void> connect_check(const Container& container,
                           const Network& network,
                           const EndpointSettings& settings) {
    const std::string& mode = container.record.host_config.network_mode;
    if (mode == "host" || network.record.driver == "host") {
        return forbidden(
            "container cannot be disconnected from host network or connected to host network");
    }
    if (shares(mode)) {
        return forbidden(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network");
    }
    const bool is_none = container.record.networks.contains("none");
    if (is_none || (network.record.driver == "null" && !container.record.networks.empty())) {
        return forbidden(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode");
    }
    if (container.record.networks.contains(network.record.name)) {
        return forbidden("endpoint with name " + container.record.name.substr(1) +
                         " already exists in network " + network.record.name);
    }
    if (!settings.aliases.empty() && network.record.is_builtin()) {
        return Error(ErrorKind::invalid_argument,
                     "network-scoped aliases are only supported for user-defined networks");
    }
    return ok;
}

/// What a running container sees of one more network.
void files_change(const ContainerRecord& record, const EndpointSettings& got, bool resolver) {
    const std::string names = host_names(record.config);
    Result<void> done = hosts_add(record.files_directory, got.ip_address, names);
    if (done && !got.ipv6_address.empty()) {
        done = hosts_add(record.files_directory, got.ipv6_address, names);
    }
    if (done && resolver) {
        SandboxFilesRequest request;
        request.dns = record.host_config.dns;
        request.dns_search = record.host_config.dns_search;
        request.dns_options = record.host_config.dns_options;
        request.own_network = true;
        request.resolver = true;
        done = resolv_conf_replace(record.files_directory, request);
    }
    if (!done) {
        LOG_WARN("container={}: hosts and resolv.conf: {}, ignoring",
                 record.id.short_id(),
                 done.error().message());
    }
}

std::string interface_free(const ContainerRecord& record) {
    for (int number = 0;; ++number) {
        std::string name = "eth" + std::to_string(number);
        const bool taken = std::ranges::any_of(
            record.networks, [&](const auto& item) { return item.second.interface == name; });
        if (!taken) {
            return name;
        }
    }
}

}  // namespace

Task<void> Networks::connect(std::shared_ptr<Container> container,
                             std::shared_ptr<Network> network,
                             EndpointSettings settings) {
    CO_CHECK(connect_check(*container, *network, settings));
    ContainerRecord& record = container->record;
    const std::string& name = network->record.name;
    if (!container->run) {
        settings.network_id = network->record.id.str();
        record.networks.emplace(name, std::move(settings));
        co_return co_await daemon_.container_save(*container);
    }
    const std::shared_ptr<ContainerRun> run = container->run;  // Its pidfd is needed to the end.
    settings.interface = interface_free(record);
    CO_CHECK(member_add(*network, *container, settings));
    const EndpointId endpoint = network->members.at(container->id()).endpoint;
    const bool has_route = std::ranges::any_of(
        record.networks, [](const auto& item) { return !item.second.gateway.empty(); });
    const bool has_route6 = std::ranges::any_of(
        record.networks, [](const auto& item) { return !item.second.ipv6_gateway.empty(); });
    // At once in the record: should the container end meanwhile, release() takes it back.
    EndpointSettings& kept =
        record.networks.insert_or_assign(name, std::move(settings)).first->second;
    Plan plan;
    plan.items.push_back({network, &kept});
    Result<EndpointSpec> spec = endpoint_spec(*network, container->id(), kept.interface);
    Result<void> done = ok;
    if (spec) {
        spec->default_route = !has_route && network->record.leads_out();
        spec->default_route6 =
            !has_route6 && network->record.leads_out() && network->record.enable_ipv6;
        (network->record.hangs() ? plan.hanging : plan.request.endpoints)
            .push_back(*std::move(spec));
        plan.request.pidfd = run->init.pidfd();
        done = co_await resolver_choose(plan);
    } else {
        done = std::move(spec).error();
    }
    if (done) {
        const Result<EndpointsAttached> attached = co_await drivers_attach(plan);
        if (!attached) {
            done = attached.error();
        }
    }
    if (!done) {
        member_drop(*network, *container, kept);
        record.networks.erase(name);
        co_return done;
    }
    const auto member = network->members.find(container->id());
    if (member == network->members.end() || member->second.endpoint != endpoint) {
        driver_of(*network).detach(
            endpoint);  // It has ended: the network is one of its next start's.
        co_return co_await shielded(daemon_.container_save(*container));
    }
    const Result<bool> named = co_await resolver_keep(*container, run->init.pidfd());
    files_change(record, kept, network->record.is_user_defined() && named && *named);
    links_readdress(daemon_, *container);
    event(*network, "connect", container.get());
    co_return co_await shielded(daemon_.container_save(*container));
}

Task<void> Networks::disconnect(std::shared_ptr<Container> container,
                                std::shared_ptr<Network> network) {
    ContainerRecord& record = container->record;
    if (record.host_config.network_mode == "host" && network->record.driver == "host") {
        co_return forbidden(
            "container cannot be disconnected from host network or connected to host network");
    }
    const auto found = record.networks.find(network->record.name);
    if (found == record.networks.end()) {
        co_return forbidden("container " + container->id().str() + " is not connected to network " +
                            network->record.name);
    }
    EndpointSettings settings = found->second;
    const auto endpoint = EndpointId::parse(settings.endpoint_id);
    if (container->run && endpoint) {
        CO_CHECK(co_await shielded(driver_of(*network).disconnect(*endpoint)));
        for (const std::string& address : {settings.ip_address, settings.ipv6_address}) {
            if (address.empty()) {
                continue;
            }
            const Result<void> kept = hosts_remove(record.files_directory, address);
            if (!kept) {
                LOG_WARN("container={}: hosts: {}, ignoring",
                         container->id().short_id(),
                         kept.error().message());
            }
        }
        event(*network, "disconnect", container.get());
    }
    member_drop(*network, *container, settings);
    record.networks.erase(network->record.name);
    if (const std::shared_ptr<ContainerRun> run = container->run) {
        static_cast<void>(co_await shielded(resolver_keep(*container, run->init.pidfd())));
    }
    co_return co_await shielded(daemon_.container_save(*container));
}

}  // namespace davit
