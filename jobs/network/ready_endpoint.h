#pragma once
/// ReadyEndpoint: a place in a network for a container that is to come: addresses that are taken,
/// and links that wait in a namespace. Nobody sees it in the network, and who needs its addresses
/// gets them (SandboxPool::endpoints_give_up()).
#include <memory>

#include "drivers/net/driver.h"

namespace davit {

struct Network;

class ReadyEndpoint {
  public:
    ReadyEndpoint() = default;

    /// Takes: addresses of the network's pools, which are its own from here on.
    ReadyEndpoint(std::shared_ptr<Network> network, IpAddress address, IpAddress address6);

    ReadyEndpoint(ReadyEndpoint&& other) noexcept;
    ReadyEndpoint& operator=(ReadyEndpoint&& other) noexcept;
    /// Gives the addresses back.
    ~ReadyEndpoint();

    explicit operator bool() const { return network_ != nullptr; }

    const std::shared_ptr<Network>& network() const { return network_; }

    const EndpointId& id() const { return id_; }

    const IpAddress& address() const { return address_; }

    /// Unset on networks without IPv6.
    const IpAddress& address6() const { return address6_; }

    /// Its addresses are somebody else's from here on.
    void used() { network_ = nullptr; }

    EndpointPrepared links = {};

  private:
    std::shared_ptr<Network> network_;
    EndpointId id_;
    IpAddress address_;
    IpAddress address6_;
};

}  // namespace davit
