#include "reactor/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace davit {

Result<std::unique_ptr<FdStream>> FdStream::make(Fd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0) {
        return Error::from_errno(errno, "fcntl", "fd " + std::to_string(fd.get()));
    }
    auto poller = Poller::make(fd.get());
    if (!poller) {
        // Regular files and the like are always ready (epoll_ctl(2) refuses them with EPERM).
        if (poller.error().errno_value() != EPERM) {
            return std::move(poller).error();
        }
        return std::unique_ptr<FdStream>(new FdStream(std::move(fd), Poller()));
    }
    if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return Error::from_errno(errno, "fcntl", "fd " + std::to_string(fd.get()));
    }
    return std::unique_ptr<FdStream>(new FdStream(std::move(fd), *std::move(poller)));
}

Result<std::optional<std::size_t>> FdStream::try_read(std::span<char> buffer) {
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got >= 0) {
            return std::optional<std::size_t>(static_cast<std::size_t>(got));
        }
        if (errno == EAGAIN) {
            return std::optional<std::size_t>{};
        }
        // EIO is how a pty master says that its last slave was closed: pty(7).
        if (errno == EIO) {
            return std::optional<std::size_t>(0);
        }
        if (errno != EINTR) {
            return Error::from_errno(errno, "read");
        }
    }
}

Task<std::size_t> FdStream::read(std::span<char> buffer) {
    for (;;) {
        CO_TRY(const std::optional<std::size_t> got, try_read(buffer));
        if (got) {
            co_return *got;
        }
        CO_CHECK(co_await poller_.readable());
    }
}

Task<void> FdStream::readable() {
    if (!poller_) {
        co_return ok;
    }
    co_return co_await poller_.readable();
}

Task<void> FdStream::hung_up() {
    co_return co_await poller_.hung_up();
}

Task<void> FdStream::write(std::string_view bytes) {
    while (!bytes.empty()) {
        // MSG_NOSIGNAL has no counterpart for pipes: the daemon and the CLI ignore SIGPIPE.
        const ssize_t done = ::write(fd_.get(), bytes.data(), bytes.size());
        if (done >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(done));
        } else if (errno == EAGAIN) {
            CO_CHECK(co_await poller_.writable());
        } else if (errno != EINTR) {
            co_return Error::from_errno(errno, "write");
        }
    }
    co_return ok;
}

Task<void> FdStream::write_parts(std::span<const std::string_view> parts) {
    std::vector<iovec> vectors;
    vectors.reserve(parts.size());
    for (const std::string_view part : parts) {
        if (!part.empty()) {
            vectors.push_back({const_cast<char*>(part.data()), part.size()});
        }
    }
    std::size_t first = 0;
    while (first < vectors.size()) {
        const auto count = static_cast<int>(std::min<std::size_t>(vectors.size() - first, IOV_MAX));
        const ssize_t done = ::writev(fd_.get(), &vectors[first], count);
        if (done < 0) {
            if (errno == EAGAIN) {
                CO_CHECK(co_await poller_.writable());
            } else if (errno != EINTR) {
                co_return Error::from_errno(errno, "writev");
            }
            continue;
        }
        auto left = static_cast<std::size_t>(done);
        while (first < vectors.size() && left >= vectors[first].iov_len) {
            left -= vectors[first++].iov_len;
        }
        if (left > 0) {
            vectors[first].iov_base = static_cast<char*>(vectors[first].iov_base) + left;
            vectors[first].iov_len -= left;
        }
    }
    co_return ok;
}

Task<void> FdStream::shutdown_write() {
    if (::shutdown(fd_.get(), SHUT_WR) != 0 && errno != ENOTCONN && errno != ENOTSOCK) {
        co_return Error::from_errno(errno, "shutdown");
    }
    co_return ok;
}

Result<StreamPair> stream_pair_make() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
        return Error::from_errno(errno, "socketpair");
    }
    Fd first_fd(fds[0]);
    Fd second_fd(fds[1]);
    TRY(auto first, FdStream::make(std::move(first_fd)));
    TRY(auto second, FdStream::make(std::move(second_fd)));
    return StreamPair{std::move(first), std::move(second)};
}

namespace {

/// connect(2) without blocking, and its outcome.
Task<std::unique_ptr<FdStream>> connect_socket(Fd fd,
                                               sockaddr_storage address,
                                               socklen_t size,
                                               std::string name) {
    const int raw = fd.get();
    CO_TRY(Poller poller, Poller::make(raw));
    if (::connect(raw, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        if (errno != EINPROGRESS) {
            co_return Error::from_errno(errno, "connect", name);
        }
        CO_CHECK(co_await poller.writable());
        int failure = 0;
        socklen_t length = sizeof(failure);
        ::getsockopt(raw, SOL_SOCKET, SO_ERROR, &failure, &length);
        if (failure != 0) {
            co_return Error::from_errno(failure, "connect", name);
        }
    }
    poller = Poller();
    co_return FdStream::make(std::move(fd));
}

}  // namespace

Task<std::unique_ptr<FdStream>> connect_unix(std::string path) {
    sockaddr_storage storage{};
    auto* address = reinterpret_cast<sockaddr_un*>(&storage);
    if (path.size() >= sizeof(address->sun_path)) {
        co_return Error(ErrorKind::invalid_argument,
                        "connect " + path + ": a unix socket's path has at most 107 bytes");
    }
    address->sun_family = AF_UNIX;
    std::memcpy(address->sun_path, path.data(), path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        co_return Error::from_errno(errno, "socket");
    }
    co_return co_await connect_socket(std::move(fd), storage, sizeof(sockaddr_un), std::move(path));
}

Task<std::unique_ptr<FdStream>> connect_tcp(std::string address, std::uint16_t port) {
    sockaddr_storage storage{};
    socklen_t size = 0;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        size = sizeof(sockaddr_in);
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        size = sizeof(sockaddr_in6);
    } else {
        co_return Error(ErrorKind::invalid_argument, "connect " + address + ": not an IP address");
    }
    Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        co_return Error::from_errno(errno, "socket");
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    std::string name = address + ":" + std::to_string(port);
    co_return co_await connect_socket(std::move(fd), storage, size, std::move(name));
}

}  // namespace davit
