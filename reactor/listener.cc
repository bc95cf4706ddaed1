#include "reactor/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "reactor/timer.h"

namespace davit {

namespace {

constexpr int backlog = 4096;

/// True if the socket file belongs to nobody: its owner died without unlinking it.
bool socket_is_stale(const sockaddr_un& address) {
    struct stat status {};

    // connect(2) refuses an ordinary file in the same words: that is somebody's data.
    if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
               0 &&
           errno == ECONNREFUSED;
}

}  // namespace

Result<Listener> Listener::unix_socket(const std::string& path, mode_t mode) {
    sockaddr_un address{};
    if (path.size() >= sizeof(address.sun_path)) {
        return Error(ErrorKind::invalid_argument,
                     "listen on " + path + ": a unix socket's path has at most 107 bytes");
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return Error::from_errno(errno, "socket");
    }
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(fd.get(), generic, sizeof(address)) != 0) {
        if (errno != EADDRINUSE || !socket_is_stale(address)) {
            return Error::from_errno(errno, "listen on", path).with_kind(ErrorKind::conflict);
        }
        ::unlink(path.c_str());
        if (::bind(fd.get(), generic, sizeof(address)) != 0) {
            return Error::from_errno(errno, "listen on", path);
        }
    }
    if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) {
        return Error::from_errno(errno, "listen on", path);
    }
    TRY(Poller poller, Poller::make(fd.get()));
    return Listener(std::move(fd), std::move(poller), 0);
}

Result<Listener> Listener::take(Fd listening, std::uint16_t port) {
    TRY(Poller poller, Poller::make(listening.get()));
    return Listener(std::move(listening), std::move(poller), port);
}

Result<Listener> Listener::tcp(const std::string& address, std::uint16_t port) {
    sockaddr_storage storage{};
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    socklen_t size = sizeof(sockaddr_in);
    if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        size = sizeof(sockaddr_in6);
    } else {
        return Error(ErrorKind::invalid_argument, "listen on " + address + ": not an IP address");
    }
    Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return Error::from_errno(errno, "socket");
    }
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    auto* generic = reinterpret_cast<sockaddr*>(&storage);
    if (::bind(fd.get(), generic, size) != 0 || ::listen(fd.get(), backlog) != 0 ||
        ::getsockname(fd.get(), generic, &size) != 0) {
        return Error::from_errno(errno, "listen on", address + ":" + std::to_string(port));
    }
    const std::uint16_t bound = ntohs(storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    TRY(Poller poller, Poller::make(fd.get()));
    return Listener(std::move(fd), std::move(poller), bound);
}

Task<std::unique_ptr<FdStream>> Listener::accept() {
    for (;;) {
        Fd connection(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (connection) {
            if (port_ != 0) {
                const int on = 1;
                ::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            }
            co_return FdStream::make(std::move(connection));
        }
        switch (errno) {
            case EAGAIN:
                CO_CHECK(co_await poller_.readable());
                break;
            case EMFILE:
            case ENFILE:
            case ENOMEM:
            case ENOBUFS:
                // The connection stays in the backlog, and the listener readable: waiting for
                // readiness would spin. There is no event for "a descriptor became free".
                CO_CHECK(co_await sleep_for(std::chrono::milliseconds(20)));
                break;
            default:
                break;  // accept(2): the new connection's own errors; take the next one.
        }
    }
}

}  // namespace davit
