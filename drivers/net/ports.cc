#include "drivers/net/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <span>

namespace davit {

namespace {

struct Range {
    std::uint16_t first;
    std::uint16_t last;
};

/// Where the kernel takes ephemeral ports from; Docker takes its own there, too.
Range ephemeral_range() {
    constexpr Range usual{32768, 60999};
    const auto text = file_read("/proc/sys/net/ipv4/ip_local_port_range");
    unsigned first = 0;
    unsigned last = 0;
    if (!text || std::sscanf(text->c_str(), "%u %u", &first, &last) != 2 || first > last ||
        last > UINT16_MAX || first == 0) {
        return usual;
    }
    return {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
}

std::string shown_address(const IpAddress& address) {
    return address.unset() ? "::" : address.str();
}

int bind_to(int fd, const IpAddress& host, std::uint16_t number) {
    if (host.is_v4()) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(number);
        address.sin_addr.s_addr = htonl(host.v4_value());
        return ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(number);
    std::memcpy(&address.sin6_addr, host.bytes().data(), host.bytes().size());
    return ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
}

/// Gives: the bound socket; nothing if the port is taken.
Result<Fd> bind_one(const PortSpec& port, std::uint16_t number, const PortHoldHooks& hooks) {
    const int type = port.protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
    const int family = port.host.is_v4() ? AF_INET : AF_INET6;
    Fd fd(::socket(family, type | SOCK_CLOEXEC, 0));
    const int one = 1;  // IPv4 is held by a socket of its own.
    if (!fd || (family == AF_INET6 &&
                ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0)) {
        return Error::from_errno(errno, "socket");
    }
    std::uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    if (hooks.before && ::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0) {
        hooks.before(cookie);
    }
    const int bound = bind_to(fd.get(), port.host, number);
    const int error = errno;
    if (hooks.after) {
        hooks.after(cookie);
    }
    if (bound == 0) {
        return fd;
    }
    if (error == EADDRINUSE) {
        return Fd();
    }
    return Error(ErrorKind::internal,
                 "failed to bind host port for " + shown_address(port.host) + ":" +
                     std::to_string(number) + ": " + errno_text(error));
}

/// All on one number, or, if one of them is taken, none.
Result<std::vector<PortHold>> bind_all(std::span<const PortSpec> ports,
                                       std::uint16_t number,
                                       const PortHoldHooks& hooks) {
    std::vector<PortHold> holds;
    for (const PortSpec& port : ports) {
        TRY(Fd socket, bind_one(port, number, hooks));
        if (!socket) {
            return std::vector<PortHold>();
        }
        PortHold& hold = holds.emplace_back(PortHold{port, std::move(socket)});
        hold.port.host_first = hold.port.host_last = number;
    }
    return holds;
}

Result<std::vector<PortHold>> hold_together(std::span<const PortSpec> ports,
                                            const PortHoldHooks& hooks) {
    const PortSpec& port = ports.front();
    Range range{port.host_first, port.host_last};
    std::uint32_t start = 0;
    if (range.first == 0) {
        range = ephemeral_range();
        // From the one after the last: a port that was just given up rests for a while.
        static std::atomic<std::uint32_t> next{0};
        start = next.fetch_add(1, std::memory_order_relaxed);
    }
    const std::uint32_t count = std::uint32_t{range.last} - range.first + 1;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::uint16_t>(range.first + (start + i) % count);
        TRY(std::vector<PortHold> holds, bind_all(ports, number, hooks));
        if (!holds.empty()) {
            return holds;
        }
    }
    if (port.host_first != 0) {
        return Error(ErrorKind::internal,
                     "Bind for " + shown_address(port.host) + ":" +
                         std::to_string(port.host_first) + " failed: port is already allocated");
    }
    return Error(ErrorKind::internal, "no ephemeral port of the host is free");
}

bool same_number(const PortSpec& first, PortSpec other) {
    const auto is_wildcard = [](const IpAddress& host) {
        return host.unset() || host == IpAddress::v4(0);
    };
    const bool wild = is_wildcard(first.host) && is_wildcard(other.host);
    other.host = first.host;
    return wild && other == first;
}

}  // namespace

Result<PortHold> port_hold(const PortSpec& port, const PortHoldHooks& hooks) {
    TRY(std::vector<PortHold> holds, hold_together(std::span(&port, 1), hooks));
    return std::move(holds.front());
}

Result<std::vector<PortHold>> ports_hold(const std::vector<PortSpec>& ports,
                                         const PortHoldHooks& hooks) {
    std::vector<PortHold> all;
    for (std::size_t i = 0; i < ports.size();) {
        const bool pair = i + 1 < ports.size() && same_number(ports[i], ports[i + 1]);
        const std::span<const PortSpec> together = std::span(ports).subspan(i, pair ? 2 : 1);
        TRY(std::vector<PortHold> holds, hold_together(together, hooks));
        std::ranges::move(holds, std::back_inserter(all));
        i += together.size();
    }
    return all;
}

}  // namespace davit
