#pragma once
/// Networks: every network that the daemon knows, which addresses of it are taken, and who is in
/// it.
///
/// Records are durable and written before anything is made for them; what is made (bridges, veth
/// pairs, published ports) is the driver's, and lazily: a network without a running container may
/// have nothing in the kernel. Belongs to the loop's thread.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/net/ipam.h"
#include "jobs/container/container.h"
#include "jobs/engine.h"
#include "jobs/network/ready_endpoint.h"
#include "jobs/network/record.h"
#include "jobs/network/resolver.h"

namespace davit {

class Daemon;

struct NetworkMember {
    EndpointId endpoint;
    ContainerId container;
    /// Without its slash.
    std::string container_name;
    std::string mac;
    /// Unset on host and none.
    IpAddress address;
    unsigned prefix = 0;
    /// Unset on networks without IPv6.
    IpAddress address6;
    unsigned prefix6 = 0;
    /// What it is called on this network: name, aliases, short id.
    std::vector<std::string> names;
};

struct Network {
    NetworkRecord record;
    NetworkSpec spec;
    AddressPool pool;
    AddressPool pool6;
    std::map<ContainerId, NetworkMember> members;
    /// Whose a name is, in lower case: of members alone.
    std::multimap<std::string, ContainerId, std::less<>> called;
    /// Made with the first container that asks it.
    std::unique_ptr<NetworkResolver> resolver;

    /// In the place of what it was before. `members` and `called` change by these alone.
    const NetworkMember& member_put(NetworkMember member);
    void member_erase(const ContainerId& container);
};

/// What a network is to be. Follows: Docker Engine API, operation NetworkCreate.
struct NetworkCreateRequest {
    NetworkRecord record;
    bool ingress = false;
    bool config_only = false;
    /// The network whose configuration it is to have; "" for none.
    std::string config_from;
};

/// What a starting container gets of its networks.
struct Sandbox {
    /// The namespace to join; none: the host's, or a new one without any network.
    Fd netns;
    /// The namespace is this container's own: its settings are ours to make.
    bool own = false;
    /// Lines of /etc/hosts: address, names.
    std::vector<std::pair<std::string, std::string>> hosts;
    /// /etc/resolv.conf names 127.0.0.11.
    bool resolver = false;
    /// For "host-gateway".
    std::string host_gateway;
    /// Whose hosts, hostname and resolv.conf it sees, too; empty: its own.
    std::string files_directory;
};

struct NetworkTraceRequest {
    std::string from;
    std::string to;
    std::uint16_t port = 0;
    /// IPPROTO_TCP, IPPROTO_UDP.
    std::uint8_t protocol = 0;
};

struct NetworkTrace {
    TraceOutcome outcome;
    /// The network that the sending container sends by; "" if no container sends.
    std::string network;
    /// Of the container that gets it, or would; "" for none.
    std::string receiver;
};

/// Where the bridge driver's pins and notes are, of the daemon with this run directory.
void network_places(BridgeDriverOptions& options, const std::string& run_dir);

class Networks final : public NameSource {
  public:
    explicit Networks(Daemon& daemon) : daemon_(daemon) {}

    /// Read the records, and make the three built-in networks if there are none yet.
    Task<void> open();

    /// Full id, then full name, then a unique prefix of an id.
    /// Errors: not_found "network X not found"; invalid_argument (ambiguous).
    Result<std::shared_ptr<Network>> find(std::string_view text) const;

    /// Whether all of a container's networks are there. Docker asks at start, too: a create that
    /// failed with "not found" would make its command line pull the image.
    /// Errors: not_found "network X not found".
    Result<void> check(const ContainerRecord& record) const;

    /// The networks of a new container: that of its mode, and those that it names besides.
    /// Errors: invalid_argument (networks that do not go together).
    Result<void> choose(ContainerRecord& record,
                        std::map<std::string, EndpointSettings> endpoints) const;

    /// What a new container asks for that none of its networks will do, for whoever made it.
    std::vector<std::string> warnings(const ContainerRecord& record) const;

    /// By name, then by when they were made.
    std::vector<std::shared_ptr<Network>> list() const;

    /// Errors: conflict (the name); permission_denied (pool overlap, built-in); invalid_argument;
    ///         not_found (driver); unsupported.
    Task<std::shared_ptr<Network>> create(NetworkCreateRequest request);

    /// Errors: permission_denied (in use, built-in).
    Task<void> remove(std::shared_ptr<Network> network);

    /// Connect a container to all its networks, at its start. release() takes it back.
    /// Errors: not_found (no such network, or container to share with); conflict; any driver's.
    /// Takes:  a namespace for it, made but empty, if it shall not be one of the host's user
    ///         namespace; it is not used by a container without a network of its own.
    ///         ready: what waits in it for a container of network_to_prepare()'s.
    Task<Sandbox> attach(Container& container, Fd netns = {}, ReadyEndpoint ready = {});

    /// The network of a container that has no other, and leaves its addresses to davit: a place in
    /// it can be made ahead. Takes: the network mode, the MAC address that is asked for, and what
    /// is asked of networks by their names.
    std::optional<NetworkId> network_to_prepare(
        const std::string& mode,
        const std::string& mac,
        const std::map<std::string, EndpointSettings>& endpoints) const;

    /// A place in a network, for a container to come. netns: its namespace, which has no links.
    /// Errors: not_found (the network); resource_exhausted (its addresses); any driver's.
    Task<ReadyEndpoint> endpoint_prepare(NetworkId id, Fd netns);

    /// Its process has ended, or was not started: ports, addresses and names are free. At once.
    void release(Container& container);

    /// It is called something else from now on: names are answered accordingly.
    void renamed(Container& container);

    /// A container whose process outlived the daemon keeps what it has. `process` is only looked
    /// at.
    Task<void> adopt(Container& container, const PidRef& process);

    /// After every adopt(): whatever else an earlier daemon left goes.
    Task<void> sweep();

    /// The container runs, or will: one more network. Errors: permission_denied (it is in it
    /// already, or cannot be in another); any driver's.
    Task<void> connect(std::shared_ptr<Container> container,
                       std::shared_ptr<Network> network,
                       EndpointSettings settings);

    /// Errors: permission_denied "container X is not connected to network Y".
    Task<void> disconnect(std::shared_ptr<Container> container, std::shared_ptr<Network> network);

    // NameSource: as the embedded resolver asks.
    Found find(const IpAddress& asker, const std::string& name) const override;
    std::string name_of(const IpAddress& asker, const IpAddress& address) const override;
    std::vector<std::string> servers(const IpAddress& asker) const override;

    /// What became of packets.
    std::vector<NetworkCounter> counters() const { return bridge_->counters(); }

    /// Where a packet would go. from, to: a container, "host", or an address.
    /// Errors: not_found (no such container, not on a bridge network); invalid_argument (no
    ///         address, both in one place, not of one family); conflict (a container that does not
    ///         run); any of NetworkDriver::trace().
    Task<NetworkTrace> trace(NetworkTraceRequest request);

    Task<void> run();
    Task<void> close();

  private:
    struct Plan;

    Result<void> insert(NetworkRecord record);
    NetworkDriver& driver_of(const Network& network) const;
    Task<EndpointsAttached> drivers_attach(Plan& plan);
    Task<void> drivers_adopt(Plan& plan);
    Task<bool> resolver_keep(Container& container, int netns);
    Task<void> resolver_close(std::unique_ptr<NetworkResolver> resolver);
    void resolver_drop(const ContainerId& container, std::uint64_t kept = 0);
    Task<void> store(const NetworkRecord& record);
    Task<NetworkRecord> builtin_make(std::string name, std::string driver);
    Task<void> subnet_fill(NetworkRecord& record);
    Task<void> subnet_settle(Network& network);
    std::uint32_t number_free() const;
    Result<Sandbox> share(const Container& container) const;
    Result<Plan> plan_make(Container& container);
    Result<void> addresses_take(Network& network,
                                NetworkMember& member,
                                const EndpointSettings& settings);
    Result<void> addresses_choose(Network& network,
                                  NetworkMember& member,
                                  const EndpointSettings& settings);
    Result<void> member_add(Network& network,
                            Container& container,
                            EndpointSettings& settings,
                            ReadyEndpoint ready = {});
    void member_drop(Network& network, const Container& container, EndpointSettings& settings);
    void addresses_note(const NetworkMember& member);
    Task<void> resolver_choose(Plan& plan);
    std::shared_ptr<Container> container_of(const IpAddress& address) const;
    Result<IpAddress> trace_target(const NetworkTraceRequest& request,
                                   const Container* sender) const;
    Result<EndpointId> trace_endpoint(const Container& sender,
                                      const IpAddress& to,
                                      std::string& network) const;
    void hosts_fill(Sandbox& sandbox, const Container& container) const;
    void event(const Network& network, std::string action, const Container* container) const;

    Daemon& daemon_;
    std::unique_ptr<NetworkDriver> bridge_;
    /// macvlan and ipvlan.
    std::unique_ptr<NetworkDriver> hanging_;
    std::map<NetworkId, std::shared_ptr<Network>> networks_;
    std::map<std::string, NetworkId, std::less<>> by_name_;
    /// Of both families.
    std::map<IpAddress, ContainerId> by_address_;

    /// Of containers whose networks have no gateway of the host's: in their own namespaces.
    struct OwnResolver {
        std::uint64_t netns_cookie = 0;
        std::unique_ptr<NetworkResolver> resolver;
    };

    std::map<ContainerId, OwnResolver> own_resolvers_;
    /// Resolvers that end.
    TaskGroup closing_{GroupPolicy::independent};
    AsyncMutex create_turn_;
    /// The default bridge's subnet is nobody else's.
    bool settled_ = false;
};

}  // namespace davit
