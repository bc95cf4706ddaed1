#include "drivers/net/bridge_trace.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>

#include <algorithm>

#include "drivers/net/bridge_host.h"
#include "drivers/net/links.h"
#include "drivers/net/loopback.h"

namespace davit {

namespace {

/// Above the ephemeral ports and the masquerade's: nobody's connection has it, as a rule.
constexpr std::uint16_t source_port_first = 20000;
constexpr std::uint16_t source_port_last = 20999;
/// Other packets are counted meanwhile: the reason is what every try counted.
constexpr int tries = 4;

flow_key key_of(const TraceTuple& tuple) {
    flow_key key{};
    key.src = bpf_address(tuple.from);
    key.dst = bpf_address(tuple.to);
    key.sport_be = htons(tuple.from_port);
    key.dport_be = htons(tuple.to_port);
    key.protocol = tuple.protocol;
    return key;
}

/// What answers to a translated packet look like as they come in.
flow_key answer_key(const flow_value& to, std::uint8_t protocol) {
    flow_key key{};
    key.src = to.dst;
    key.dst = to.src;
    key.sport_be = to.dport_be;
    key.dport_be = to.sport_be;
    key.protocol = protocol;
    return key;
}

MacAddress mac_at(const std::uint8_t (&bytes)[6]) {
    MacAddress mac{};
    std::ranges::copy(bytes, mac.begin());
    return mac;
}

/// One packet, where it comes in, and by which program.
struct Injection {
    TraceTuple tuple;
    MacAddress from_mac{};
    MacAddress to_mac{};
    std::uint32_t ifindex = 0;
    int program = -1;
    std::string program_name;
};

struct Ran {
    int verdict = 0;
    std::string frame;
    std::optional<flow_value> flow;
};

Result<std::uint16_t> source_port(NetworkPrograms& programs, TraceTuple tuple) {
    for (std::uint16_t port = source_port_first; port <= source_port_last; ++port) {
        tuple.from_port = port;
        if (!programs.flow_get(key_of(tuple))) {
            return port;
        }
    }
    return Error(ErrorKind::resource_exhausted, "no source port is free for a trace");
}

Result<Ran> run_once(NetworkPrograms& programs, const Injection& in, const std::string& frame) {
    Ran ran;
    TRY(PacketRun run, programs.packet_run(in.program, in.ifindex, frame));
    ran.verdict = run.verdict;
    ran.frame = std::move(run.frame);
    const flow_key key = key_of(in.tuple);
    ran.flow = programs.flow_get(key);
    if (ran.flow) {
        programs.flow_delete(answer_key(*ran.flow, in.tuple.protocol));
        programs.flow_delete(key);
    }
    return ran;
}

/// The counters that a try has moved. What was passed on may have been counted as either kind.
std::vector<NetworkStat> counted(const std::vector<NetworkStat>& before,
                                 const std::vector<NetworkStat>& after,
                                 int verdict) {
    std::vector<NetworkStat> moved;
    for (std::size_t i = 0; i < after.size(); ++i) {
        const bool fits = verdict == TC_ACT_UNSPEC ||
                          after[i].name.starts_with("drop_") == (verdict == TC_ACT_SHOT);
        if (fits && after[i].packets != before[i].packets) {
            moved.push_back(after[i]);
        }
    }
    return moved;
}

void destination_tell(NetworkPrograms& programs,
                      const HostNetwork& host,
                      const Injection& in,
                      const Ran& ran,
                      TraceOutcome& outcome) {
    std::uint32_t index = 0;
    if (ran.flow) {
        index = ran.flow->ifindex;
        outcome.way = ran.flow->action == DAVIT_TO_PEER        ? TraceWay::container
                      : ran.flow->action == DAVIT_TO_NEIGHBOUR ? TraceWay::outside
                                                               : TraceWay::host;
    } else if (const auto target = programs.endpoint_get(bpf_address(in.tuple.to))) {
        index = target->ifindex;
        outcome.way = TraceWay::container;
    }
    const LinkInfo* link = host.find(static_cast<int>(index));
    outcome.leaves_by = link == nullptr ? "" : link->name;
}

Result<TraceOutcome> inject(NetworkPrograms& programs, const HostNetwork& host, Injection in) {
    TRY(in.tuple.from_port, source_port(programs, in.tuple));
    const std::string frame = trace_frame_write(in.tuple, in.from_mac, in.to_mac);
    TraceOutcome outcome;
    outcome.packet = outcome.becomes = in.tuple;
    outcome.program = in.program_name;
    const LinkInfo* link = host.find(static_cast<int>(in.ifindex));
    outcome.enters_by = link == nullptr ? "" : link->name;
    std::vector<NetworkStat> reasons;
    for (int i = 0; i < tries; ++i) {
        const std::vector<NetworkStat> before = programs.stats();
        TRY(const Ran ran, run_once(programs, in, frame));
        const bool dropped = ran.verdict == TC_ACT_SHOT;
        std::vector<NetworkStat> moved = counted(before, programs.stats(), ran.verdict);
        if (i == 0) {
            reasons = std::move(moved);
        } else {
            std::erase_if(reasons, [&](const NetworkStat& reason) {
                return std::ranges::find(moved, reason.name, &NetworkStat::name) == moved.end();
            });
        }
        if (i + 1 < tries && reasons.size() > 1) {
            continue;
        }
        outcome.way = dropped ? TraceWay::dropped : TraceWay::passed;
        if (ran.verdict == TC_ACT_REDIRECT) {
            destination_tell(programs, host, in, ran, outcome);
            if (const auto becomes = trace_frame_read(ran.frame)) {
                outcome.becomes = *becomes;
            }
        }
        break;
    }
    if (reasons.size() == 1) {
        constexpr std::string_view drop = "drop_";
        outcome.reason = reasons.front().name;
        if (outcome.reason.starts_with(drop)) {
            outcome.reason.erase(0, drop.size());
        }
        outcome.meaning = reasons.front().meaning;
    }
    return outcome;
}

Result<Injection> from_container(NetworkPrograms& programs,
                                 const TraceRequest& request,
                                 const TraceSource& source) {
    Injection in;
    const EndpointSpec& spec = source.endpoint;
    const bool is_v4 = request.to.is_v4();
    in.tuple.from = is_v4 ? spec.address : spec.address6;
    in.from_mac = spec.mac;
    const Subnet& subnet = is_v4 ? spec.network.subnet : spec.network.subnet6;
    const auto own = programs.endpoint_get(bpf_address(in.tuple.from));
    if (!own) {
        return Error(ErrorKind::not_found,
                     "the container has no " + std::string(is_v4 ? "IPv4" : "IPv6") +
                         " address on the network");
    }
    in.to_mac = mac_at(own->gateway_mac);
    const auto target = programs.endpoint_get(bpf_address(request.to));
    if (target && subnet.contains(request.to)) {
        in.to_mac = mac_at(target->mac);
    }
    in.ifindex = static_cast<std::uint32_t>(source.index);
    in.program = programs.from_container_fd();
    in.program_name = "from_container";
    return in;
}

/// The uplink that an address is behind: a neighbour's, else the default route's.
Result<int> uplink_of(const HostNetwork& host, const IpAddress& address) {
    int index = host.default_link;
    unsigned prefix = 0;
    for (const HostAddress& one : host.addresses) {
        if (one.prefix > prefix && one.address.is_v4() == address.is_v4() &&
            Subnet(one.address, one.prefix).contains(address)) {
            index = one.index;
            prefix = one.prefix;
        }
    }
    if (index == 0) {
        return Error(ErrorKind::not_found,
                     "no link of this host leads to " + address.str() +
                         ": it has no address there, and no default route");
    }
    return index;
}

}  // namespace

Result<TraceOutcome> trace_run(NetworkPrograms& programs,
                               const TraceRequest& request,
                               const TraceSource* source) {
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY(const HostNetwork host, host_network_read(socket));
    Injection in;
    std::optional<TraceTuple> translated;
    if (source != nullptr) {
        TRY(in, from_container(programs, request, *source));
    } else if (!request.from.unset()) {
        TRY(const int index, uplink_of(host, request.from));
        in.tuple.from = request.from;
        in.ifindex = static_cast<std::uint32_t>(index);
        in.program = programs.from_uplink_fd();
        in.program_name = "from_uplink";
    } else {
        in.tuple.from = request.to;
        in.ifindex = loopback_index;
        in.program = programs.from_lo_fd();
        in.program_name = "from_lo";
    }
    in.tuple.to = request.to;
    in.tuple.to_port = request.port;
    in.tuple.protocol = request.protocol;
    if (source == nullptr && request.from.unset()) {
        const auto target =
            programs.port_get(bpf_address(request.to), htons(request.port), request.protocol);
        if (target) {
            translated = in.tuple;
            translated->to = address_from(target->addr);
            translated->to_port = ntohs(target->port_be);
        }
    }
    TRY(TraceOutcome outcome, inject(programs, host, in));
    outcome.translated = translated;
    return outcome;
}

}  // namespace davit
