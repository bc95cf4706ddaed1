#pragma once
/// NetworkResolver: the embedded DNS of one network, at its gateway's address.
///
/// A container asks 127.0.0.11:53, which the socket hooks make the resolver's address; the source
/// address tells which container asks. Names of containers are answered here, everything else is
/// passed to the name servers that the container would have asked, one after the other, as it came;
/// their answers by UDP are kept as long as they may be told again (answer_cache.h).
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/net/address.h"
#include "jobs/network/answer_cache.h"
#include "jobs/network/datagrams.h"
#include "reactor/async_event.h"
#include "reactor/base/fd.h"
#include "reactor/listener.h"
#include "reactor/task_group.h"

namespace davit {

/// What the engine knows of names.
class NameSource {
  public:
    NameSource() = default;
    NameSource(const NameSource&) = delete;
    NameSource& operator=(const NameSource&) = delete;
    virtual ~NameSource() = default;

    struct Found {
        /// Whether the name is a container's at all.
        bool known = false;
        /// Of both families.
        std::vector<IpAddress> addresses;
    };

    /// "web", "web.front" as the container with this address sees them. Lower case.
    virtual Found find(const IpAddress& asker, const std::string& name) const = 0;

    /// "web.front" of an address; "" for none.
    virtual std::string name_of(const IpAddress& asker, const IpAddress& address) const = 0;

    /// Where the rest goes; empty: nowhere (internal networks).
    virtual std::vector<std::string> servers(const IpAddress& asker) const = 0;
};

/// Where a resolver listens.
struct ResolverSockets {
    Fd datagrams;
    Fd connections;
    std::uint16_t port = 0;
};

/// UDP and TCP on a port of the kernel's choice, in the network namespace of the calling thread.
Result<ResolverSockets> resolver_sockets_make(const IpAddress& address);

class NetworkResolver {
  public:
    /// Listen at gateway, on a port of the kernel's choice, UDP and TCP. names must outlive it.
    static Result<std::unique_ptr<NetworkResolver>> open(const IpAddress& gateway,
                                                         const NameSource& names);

    /// In a namespace that one container alone is in: asker is its address, whoever asks.
    static Result<std::unique_ptr<NetworkResolver>> open(ResolverSockets sockets,
                                                         const IpAddress& asker,
                                                         const NameSource& names);

    std::uint16_t port() const { return port_; }

    /// End every question that is still open. Must be awaited before the resolver dies.
    Task<void> close();

  private:
    NetworkResolver(Fd socket, Listener listener, std::uint16_t port, const NameSource& names)
        : socket_(std::move(socket)), listener_(std::move(listener)), port_(port), names_(&names) {}

    Task<void> serve_datagrams();
    Task<void> serve_connections();
    Task<void> serve_connection(std::unique_ptr<FdStream> stream);
    void answer_datagram(Datagram question, std::vector<Datagram>& answers);
    Task<void> pass_datagram(Datagram question, IpAddress source);

    /// Who asks, for NameSource, by where it came from.
    IpAddress asker_of(const IpAddress& source) const { return asker_.unset() ? source : asker_; }

    /// The answer known here; "" if others have to be asked.
    std::string answer_own(const std::string& query, const IpAddress& asker);

    Task<std::string> answer(std::string query, IpAddress asker, bool by_tcp);

    Fd socket_;
    Listener listener_;
    std::uint16_t port_;
    const NameSource* names_;
    IpAddress asker_;
    AnswerCache cache_;
    std::uint32_t turn_ = 0;
    std::size_t open_questions_ = 0;
    /// By who asks; none is zero.
    std::map<IpAddress, std::size_t> open_of_;
    TaskGroup work_{GroupPolicy::independent};
};

}  // namespace davit
