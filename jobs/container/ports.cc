#include "jobs/container/ports.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace davit {

namespace {

Error bad_port(std::string_view text) {
    return Error(ErrorKind::invalid_argument,
                 "invalid port specification: \"" + std::string(text) + "\"");
}

Result<std::uint16_t> number_parse(std::string_view text) {
    std::uint16_t number = 0;
    const char* end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || last != end) {
        return bad_port(text);
    }
    return number;
}

Result<std::uint8_t> protocol_number(std::string_view name) {
    if (name == "tcp") {
        return static_cast<std::uint8_t>(IPPROTO_TCP);
    }
    if (name == "udp") {
        return static_cast<std::uint8_t>(IPPROTO_UDP);
    }
    if (name == "sctp") {
        return Error(ErrorKind::unsupported,
                     "publishing sctp ports is not supported by davit yet: use tcp or udp");
    }
    return Error(ErrorKind::invalid_argument, "invalid proto: " + std::string(name));
}

/// "8080", "8000-8010", "" for any.
Result<void> host_port_parse(const std::string& text, PortSpec& port) {
    if (text.empty()) {
        return ok;
    }
    const std::size_t dash = text.find('-');
    TRY(port.host_first, number_parse(std::string_view(text).substr(0, dash)));
    port.host_last = port.host_first;
    if (dash != std::string::npos) {
        TRY(port.host_last, number_parse(std::string_view(text).substr(dash + 1)));
        if (port.host_last < port.host_first || port.host_first == 0) {
            return bad_port(text);
        }
    }
    return ok;
}

/// Everywhere, or where the network says.
std::vector<IpAddress> hosts_default(const PortHosts& hosts) {
    if (hosts.ipv6 && hosts.binding == IpAddress::v4(0)) {
        return {hosts.binding, IpAddress()};
    }
    return {hosts.binding};
}

Result<std::vector<IpAddress>> host_ip_parse(const std::string& text, const PortHosts& hosts) {
    if (text.empty()) {
        return hosts_default(hosts);
    }
    TRY(const IpAddress address, IpAddress::parse(text));
    if (!address.is_v4() && !hosts.ipv6) {
        return Error(ErrorKind::unsupported,
                     "publishing on IPv6 address " + text +
                         " needs a network with IPv6: make one with --ipv6, or give an IPv4 "
                         "address");
    }
    return std::vector<IpAddress>{address};
}

}  // namespace

Result<PortName> port_name_parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    PortName name;
    TRY(name.number, number_parse(text.substr(0, slash)));
    name.protocol = slash == std::string_view::npos ? "tcp" : std::string(text.substr(slash + 1));
    if (name.number == 0) {
        return bad_port(text);
    }
    return name;
}

Result<std::vector<PortSpec>> ports_wanted(const HostConfig& host,
                                           const std::set<std::string>& exposed,
                                           const PortHosts& hosts) {
    std::vector<PortSpec> ports;
    // A container may have tens of thousands of them.
    std::set<PortSpec> seen;
    std::set<std::pair<std::uint16_t, std::uint8_t>> given;
    const auto add = [&](const PortSpec& port) {
        given.emplace(port.container_port, port.protocol);
        if (seen.insert(port).second) {
            ports.push_back(port);
        }
    };
    for (const auto& [text, bindings] : host.port_bindings) {
        TRY(const PortName name, port_name_parse(text));
        PortSpec port;
        port.container_port = name.number;
        TRY(port.protocol, protocol_number(name.protocol));
        for (const PortBinding& wanted : bindings) {
            PortSpec one = port;
            TRY_VOID(host_port_parse(wanted.host_port, one));
            TRY(const std::vector<IpAddress> at, host_ip_parse(wanted.host_ip, hosts));
            for (const IpAddress& address : at) {
                one.host = address;
                add(one);
            }
        }
    }
    if (!host.publish_all_ports) {
        return ports;
    }
    for (const std::string& text : exposed) {
        TRY(const PortName name, port_name_parse(text));
        PortSpec port;
        port.container_port = name.number;
        TRY(port.protocol, protocol_number(name.protocol));
        if (!given.emplace(port.container_port, port.protocol).second) {
            continue;
        }
        for (const IpAddress& address : hosts_default(hosts)) {
            port.host = address;
            ports.push_back(port);
        }
    }
    return ports;
}

std::map<std::string, std::vector<PortBinding>> ports_published(const std::vector<PortSpec>& got) {
    std::map<std::string, std::vector<PortBinding>> published;
    for (const PortSpec& port : got) {
        const std::string name =
            std::to_string(port.container_port) + (port.protocol == IPPROTO_UDP ? "/udp" : "/tcp");
        published[name].push_back(
            {port.host.unset() ? "::" : port.host.str(), std::to_string(port.host_first)});
    }
    return published;
}

Result<std::vector<PortSpec>> ports_of(
    const std::map<std::string, std::vector<PortBinding>>& published) {
    HostConfig host;
    host.port_bindings = published;
    return ports_wanted(host, {}, PortHosts{.ipv6 = true});
}

}  // namespace davit
