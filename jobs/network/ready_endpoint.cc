#include "jobs/network/ready_endpoint.h"

#include <algorithm>
#include <utility>

#include "jobs/daemon.h"
#include "jobs/network/networks_plan.h"

namespace davit {

namespace {

/// On a smaller network, places for those who may come would be missed by those who are there.
constexpr unsigned addresses_needed = 64;

}  // namespace

ReadyEndpoint::ReadyEndpoint(std::shared_ptr<Network> network,
                             IpAddress address,
                             IpAddress address6)
    : network_(std::move(network)),
      id_(EndpointId::generate()),
      address_(address),
      address6_(address6) {}

ReadyEndpoint::ReadyEndpoint(ReadyEndpoint&& other) noexcept
    : links(other.links),
      network_(std::exchange(other.network_, nullptr)),
      id_(other.id_),
      address_(other.address_),
      address6_(other.address6_) {}

ReadyEndpoint& ReadyEndpoint::operator=(ReadyEndpoint&& other) noexcept {
    std::swap(links, other.links);
    std::swap(network_, other.network_);
    std::swap(id_, other.id_);
    std::swap(address_, other.address_);
    std::swap(address6_, other.address6_);
    return *this;
}

ReadyEndpoint::~ReadyEndpoint() {
    if (network_) {
        network_->pool.release(address_);
        network_->pool6.release(address6_);
    }
}

std::optional<NetworkId> Networks::network_to_prepare(
    const std::string& mode,
    const std::string& mac,
    const std::map<std::string, EndpointSettings>& endpoints) const {
    const auto found = find(mode.empty() || mode == "default" ? "bridge" : mode);
    if (!found || (*found)->record.driver != "bridge" || !mac.empty() ||
        (*found)->pool.size() < addresses_needed) {
        return std::nullopt;
    }
    const bool is_usual = std::ranges::all_of(endpoints, [&](const auto& item) {
        const EndpointIpam ipam = item.second.ipam.value_or(EndpointIpam());
        const auto network =
            find(item.first.empty() || item.first == "default" ? "bridge" : item.first);
        return network && *network == *found && ipam.ipv4_address.empty() &&
               ipam.ipv6_address.empty() && item.second.mac_address_wanted.empty();
    });
    return is_usual ? std::optional((*found)->record.id) : std::nullopt;
}

Task<ReadyEndpoint> Networks::endpoint_prepare(NetworkId id, Fd netns) {
    if (const auto wanted = networks_.find(id); wanted != networks_.end()) {
        const std::shared_ptr<Network> settled = wanted->second;
        CO_CHECK(co_await subnet_settle(*settled));
    }
    // Nobody removes the network meanwhile.
    CO_TRY(const auto permit, co_await create_turn_.lock());
    const auto found = networks_.find(id);
    if (found == networks_.end()) {
        co_return Error(ErrorKind::not_found, "network " + id.short_id() + " not found");
    }
    const std::shared_ptr<Network> network = found->second;
    CO_TRY(const IpAddress address, network->pool.allocate());
    IpAddress address6;
    if (network->record.enable_ipv6) {
        Result<IpAddress> six = network->pool6.allocate();
        if (!six) {
            network->pool.release(address);
            co_return std::move(six).error();
        }
        address6 = *six;
    }
    ReadyEndpoint ready(network, address, address6);
    EndpointSpec spec;
    spec.network = network->spec;
    spec.id = ready.id();
    spec.address = address;
    spec.address6 = address6;
    spec.mac = mac_of(address);
    spec.interface = "eth0";
    spec.default_route = network->record.leads_out();
    spec.default_route6 = spec.default_route && network->record.enable_ipv6;
    CO_TRY(ready.links, co_await bridge_->prepare(std::move(spec), std::move(netns)));
    co_return std::move(ready);
}

}  // namespace davit
