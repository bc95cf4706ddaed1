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

Result<NetworkNamespace> here() {
    TRY(Fd fd, netns_current());
    TRY(NetlinkSocket socket, NetlinkSocket::open());
    TRY(const std::uint64_t cookie, netns_cookie());
    return NetworkNamespace{std::move(fd), std::move(socket), cookie};
}

}  // namespace

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

Result<NetworkNamespace> netns_make(int host) {
    if (::unshare(CLONE_NEWNET) != 0) {
        return Error::from_errno(errno, "unshare", "a network namespace");
    }
    const Visit visit(host);
    return here();
}

Result<NetworkNamespace> netns_of(int namespace_or_pidfd, int host) {
    if (::setns(namespace_or_pidfd, CLONE_NEWNET) != 0) {
        return Error::from_errno(errno, "setns", "the container's network namespace");
    }
    const Visit visit(host);
    return here();
}

}  // namespace davit
