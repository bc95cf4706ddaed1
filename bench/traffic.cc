/// davit_bench_traffic: both ends of the network benchmark; static, so that it runs in any
/// container.
///
///   davit_bench_traffic serve PORT                              echo what comes
///   davit_bench_traffic requests ADDRESS PORT CONNECTIONS MS    prints requests a second, p99 in
///   us davit_bench_traffic connects ADDRESS PORT MS                prints connections a second
///   davit_bench_traffic names ADDRESS PORT NAME QUESTIONS MS    prints answers a second, p99 in
///   us,
///                                                               questions without an answer
///
/// A request is 64 bytes there and back on a connection that is kept, one at a time on each; a
/// connection is made, used for one request and closed with a reset, which leaves no TIME_WAIT.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t request_bytes = 64;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

sockaddr_in address_of(const char* address, const char* port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    if (::inet_pton(AF_INET, address, &out.sin_addr) != 1) {
        die(address);
    }
    return out;
}

void no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int connect_to(const sockaddr_in& address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 ||
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        die("connect");
    }
    no_delay(fd);
    return fd;
}

int serve(const char* port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = address_of("0.0.0.0", port);
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener, 4096) != 0) {
        die("listen");
    }
    const int poll = ::epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    std::array<epoll_event, 256> events{};
    std::array<char, 65536> buffer{};
    for (;;) {
        const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == listener) {
                for (int more = 0;
                     (more = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
                    no_delay(more);
                    event.data.fd = more;
                    ::epoll_ctl(poll, EPOLL_CTL_ADD, more, &event);
                }
                continue;
            }
            const ssize_t got = ::read(fd, buffer.data(), buffer.size());
            if (got <= 0 || ::write(fd, buffer.data(), static_cast<std::size_t>(got)) != got) {
                ::close(fd);
            }
        }
    }
}

int requests(const sockaddr_in& address, int connections, int milliseconds) {
    const int poll = ::epoll_create1(0);
    std::array<char, request_bytes> bytes{};
    std::vector<Clock::time_point> sent(static_cast<std::size_t>(connections) + 1024);
    std::vector<double> latencies;
    latencies.reserve(1 << 20);
    const auto ask = [&](int fd) {
        sent[static_cast<std::size_t>(fd)] = Clock::now();
        if (::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
            die("write");
        }
    };
    for (int i = 0; i < connections; ++i) {
        const int fd = connect_to(address);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        ask(fd);
    }
    const Clock::time_point begun = Clock::now();
    const Clock::time_point end = begun + std::chrono::milliseconds(milliseconds);
    std::array<epoll_event, 256> events{};
    Clock::time_point now = begun;
    while (now < end) {
        const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) !=
                static_cast<ssize_t>(bytes.size())) {
                die("recv");
            }
            const std::chrono::duration<double, std::micro> took =
                Clock::now() - sent[static_cast<std::size_t>(fd)];
            latencies.push_back(took.count());
            ask(fd);
        }
        now = Clock::now();
    }
    const std::chrono::duration<double> elapsed = now - begun;
    if (latencies.empty()) {
        die("no answer");
    }
    const auto p99 = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() * 99 / 100);
    std::nth_element(latencies.begin(), p99, latencies.end());
    std::printf("%.0f %.0f\n", static_cast<double>(latencies.size()) / elapsed.count(), *p99);
    return 0;
}

int connects(const sockaddr_in& address, int milliseconds) {
    std::array<char, request_bytes> bytes{};
    const linger reset{.l_onoff = 1, .l_linger = 0};
    const Clock::time_point begun = Clock::now();
    const Clock::time_point end = begun + std::chrono::milliseconds(milliseconds);
    long count = 0;
    Clock::time_point now = begun;
    for (; now < end; now = Clock::now(), ++count) {
        const int fd = connect_to(address);
        if (::write(fd, bytes.data(), bytes.size()) < 0 ||
            ::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) < 0) {
            die("request");
        }
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        ::close(fd);
    }
    const std::chrono::duration<double> elapsed = now - begun;
    std::printf("%.0f\n", static_cast<double>(count) / elapsed.count());
    return 0;
}

/// A DNS query for the addresses (A) of a name of one label.
std::string question_make(const char* name) {
    std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    out += static_cast<char>(std::strlen(name));
    out += name;
    out.append("\x00\x00\x01\x00\x01", 5);
    return out;
}

/// So many questions at a time, each from a port of its own.
int names(const sockaddr_in& address, const char* name, int questions, int milliseconds) {
    constexpr auto patience = std::chrono::milliseconds(500);
    const std::string question = question_make(name);
    const int poll = ::epoll_create1(0);
    std::vector<int> sockets;
    std::vector<Clock::time_point> sent(static_cast<std::size_t>(questions) + 1024);
    std::vector<double> latencies;
    latencies.reserve(1 << 20);
    long lost = 0;
    const auto ask = [&](int fd) {
        sent[static_cast<std::size_t>(fd)] = Clock::now();
        if (::send(fd, question.data(), question.size(), 0) < 0) {
            die("send");
        }
    };
    for (int i = 0; i < questions; ++i) {
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (fd < 0 ||
            ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
            die("connect");
        }
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        sockets.push_back(fd);
        ask(fd);
    }
    const Clock::time_point begun = Clock::now();
    const Clock::time_point end = begun + std::chrono::milliseconds(milliseconds);
    std::array<epoll_event, 256> events{};
    std::array<char, 4096> bytes{};
    Clock::time_point now = begun;
    while (now < end) {
        const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 50);
        now = Clock::now();
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (::recv(fd, bytes.data(), bytes.size(), 0) < 12 || (bytes[3] & 0xf) != 0) {
                die("recv");
            }
            const std::chrono::duration<double, std::micro> took =
                now - sent[static_cast<std::size_t>(fd)];
            latencies.push_back(took.count());
            ask(fd);
        }
        for (const int fd : count == 0 ? sockets : std::vector<int>()) {
            if (now - sent[static_cast<std::size_t>(fd)] > patience) {
                ++lost;
                ask(fd);
            }
        }
    }
    const std::chrono::duration<double> elapsed = now - begun;
    if (latencies.empty()) {
        die("no answer");
    }
    const auto p99 = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() * 99 / 100);
    std::nth_element(latencies.begin(), p99, latencies.end());
    std::printf(
        "%.0f %.0f %ld\n", static_cast<double>(latencies.size()) / elapsed.count(), *p99, lost);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "";
    if (argc == 3 && std::strcmp(what, "serve") == 0) {
        return serve(argv[2]);
    }
    if (argc == 6 && std::strcmp(what, "requests") == 0) {
        return requests(address_of(argv[2], argv[3]), std::atoi(argv[4]), std::atoi(argv[5]));
    }
    if (argc == 5 && std::strcmp(what, "connects") == 0) {
        return connects(address_of(argv[2], argv[3]), std::atoi(argv[4]));
    }
    if (argc == 7 && std::strcmp(what, "names") == 0) {
        return names(address_of(argv[2], argv[3]), argv[4], std::atoi(argv[5]), std::atoi(argv[6]));
    }
    std::fprintf(stderr,
                 "usage: traffic serve PORT | requests ADDRESS PORT CONNECTIONS MS | "
                 "connects ADDRESS PORT MS | names ADDRESS PORT NAME QUESTIONS MS\n");
    return 2;
}
