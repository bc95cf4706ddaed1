#include "drivers/net/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

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
    return address.unset() ? "0.0.0.0" : address.str();
}

/// Gives: the bound socket; nothing if the port is taken.
Result<Fd> bind_one(const PortSpec& port, std::uint16_t number, const PortHoldHooks& hooks) {
    const int type = port.protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
    Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    if (!fd) {
        return Error::from_errno(errno, "socket");
    }
    std::uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    if (hooks.before && ::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0) {
        hooks.before(cookie);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(number);
    address.sin_addr.s_addr = port.host.unset() ? htonl(INADDR_ANY) : htonl(port.host.v4_value());
    const int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
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

}  // namespace

Result<PortHold> port_hold(const PortSpec& port, const PortHoldHooks& hooks) {
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
        TRY(Fd socket, bind_one(port, number, hooks));
        if (socket) {
            PortHold hold{port, std::move(socket)};
            hold.port.host_first = hold.port.host_last = number;
            return hold;
        }
    }
    if (port.host_first != 0) {
        return Error(ErrorKind::internal,
                     "Bind for " + shown_address(port.host) + ":" +
                         std::to_string(port.host_first) + " failed: port is already allocated");
    }
    return Error(ErrorKind::internal, "no ephemeral port of the host is free");
}

}  // namespace davit
