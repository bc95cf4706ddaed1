#include "drivers/net/netns.h"

#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

namespace davit {

namespace {

constexpr int so_netns_cookie = 71;  // asm-generic/socket.h, since Linux 5.14.

/// Back to the host's namespace, whatever happened. A thread that cannot return must not go on: it
/// belongs to a pool.
class Visit {
  public:
    explicit Visit(int host) : host_(host) {}

    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    ~Visit() {
        if (::setns(host_, CLONE_NEWNET) != 0) {
            std::abort();
        }
    }

  private:
    int host_;
};

/// Of the namespace that the thread is in: /proc/sys/net goes by that.
Result<void> ipv6_disable(const std::string& interface, bool disabled) {
    return ipv6_setting(interface, "disable_ipv6", disabled ? "1" : "0");
}

Result<NetworkNamespace> here() {
    TRY(Fd fd, netns_current());
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY(const std::uint64_t cookie, netns_cookie());
    return NetworkNamespace{std::move(fd), std::move(socket), cookie};
}

}  // namespace

Result<void> ipv6_setting(const std::string& interface,
                          const std::string& name,
                          std::string_view value) {
    const std::string path = "/proc/sys/net/ipv6/conf/" + interface + "/" + name;
    TRY(const Fd file, Fd::open(path, O_WRONLY));
    return write_all(file.get(), value);
}

Result<Fd> netns_current() {
    return Fd::open("/proc/thread-self/ns/net", O_RDONLY);
}

Result<std::uint64_t> netns_cookie() {
    const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        return Error::from_errno(errno, "socket");
    }
    std::uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    if (::getsockopt(fd.get(), SOL_SOCKET, so_netns_cookie, &cookie, &size) != 0) {
        return Error::from_errno(errno, "getsockopt", "SO_NETNS_COOKIE");
    }
    return cookie;
}

Result<void> netns_visit(int fd, const std::function<Result<void>()>& act) {
    TRY(const Fd host, netns_current());
    if (::setns(fd, CLONE_NEWNET) != 0) {
        return Error::from_errno(errno, "setns", "the container's network namespace");
    }
    const Visit visit(host.get());
    return act();
}

Result<NetworkNamespace> netns_make(int host, int made) {
    if ((made < 0 ? ::unshare(CLONE_NEWNET) : ::setns(made, CLONE_NEWNET)) != 0) {
        return Error::from_errno(errno, made < 0 ? "unshare" : "setns", "a network namespace");
    }
    const Visit visit(host);
    // A kernel without IPv6 has no such file; elsewhere the links are without addresses anyway.
    static_cast<void>(ipv6_disable("default", true));
    return here();
}

Result<void> netns_ipv6_enable(const NetworkNamespace& netns,
                               int host,
                               const std::vector<std::string>& interfaces) {
    if (interfaces.empty()) {
        return ok;
    }
    if (::setns(netns.fd.get(), CLONE_NEWNET) != 0) {
        return Error::from_errno(errno, "setns", "the container's network namespace");
    }
    const Visit visit(host);
    for (const std::string& interface : interfaces) {
        TRY_VOID(ipv6_disable(interface, false));
    }
    return ok;
}

Result<NetworkNamespace> netns_of(int fd, int host) {
    if (::setns(fd, CLONE_NEWNET) != 0) {
        return Error::from_errno(errno, "setns", "the container's network namespace");
    }
    const Visit visit(host);
    return here();
}

}  // namespace davit
