#include "http/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/epoll.h>

#include <array>
#include <cassert>

#include "http/host_rules.h"
#include "reactor/base/fd.h"
#include "reactor/poller.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// One question to c-ares. Its sockets come and go as it likes, so they are gathered in an epoll
/// instance of their own, and the loop watches that one.
class Lookup {
  public:
    Lookup(std::string host, std::string servers)
        : host_(std::move(host)), servers_(std::move(servers)) {}

    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;

    ~Lookup() {
        if (channel_ != nullptr) {
            ares_destroy(channel_);
        }
    }

    Task<std::vector<std::string>> run();

  private:
    Result<void> start();
    Task<void> wait();
    void process();
    void collect(int status, ares_addrinfo* found);
    Error failure() const;

    static void on_socket(void* self, ares_socket_t fd, int readable, int writable);

    std::string host_;
    std::string servers_;
    Fd epoll_;
    Poller poller_;  // Destroyed before epoll_.
    ares_channel channel_ = nullptr;
    bool done_ = false;
    int status_ = ARES_SUCCESS;
    std::vector<std::string> addresses_;
};

void Lookup::on_socket(void* self, ares_socket_t fd, int readable, int writable) {
    const int epoll = static_cast<Lookup*>(self)->epoll_.get();
    if (readable == 0 && writable == 0) {
        ::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
        return;
    }
    epoll_event event{};
    event.events = (readable != 0 ? unsigned{EPOLLIN} : 0U) | (writable != 0 ? EPOLLOUT : 0U);
    event.data.fd = fd;
    if (::epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) {
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

Result<void> Lookup::start() {
    static const int library = ares_library_init(ARES_LIB_INIT_ALL);
    assert(library == ARES_SUCCESS);
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) {
        return Error::from_errno(errno, "epoll_create1");
    }
    TRY(poller_, Poller::make(epoll_.get()));
    ares_options options{};
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = this;
    if (const int status = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB);
        status != ARES_SUCCESS) {
        return Error(ErrorKind::unavailable,
                     "look up " + host_ + ": " + std::string(ares_strerror(status)));
    }
    if (!servers_.empty() &&
        ares_set_servers_ports_csv(channel_, servers_.c_str()) != ARES_SUCCESS) {
        return Error(ErrorKind::invalid_argument, "not a list of name servers: " + servers_);
    }
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(
        channel_,
        host_.c_str(),
        nullptr,
        &hints,
        [](void* self, int status, int /*timeouts*/, ares_addrinfo* found) {
            static_cast<Lookup*>(self)->collect(status, found);
        },
        this);
    return ok;
}

void Lookup::collect(int status, ares_addrinfo* found) {
    done_ = true;
    status_ = status;
    if (found == nullptr) {
        return;
    }
    for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
        std::array<char, INET6_ADDRSTRLEN> text{};
        const void* address =
            node->ai_family == AF_INET
                ? static_cast<const void*>(
                      &reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr)
                : &reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr;
        if (::inet_ntop(node->ai_family, address, text.data(), text.size()) != nullptr) {
            addresses_.emplace_back(text.data());
        }
    }
    ares_freeaddrinfo(found);
}

/// Until one of the sockets is ready or c-ares wants to try again.
Task<void> Lookup::wait() {
    timeval time{};
    const timeval* left = ares_timeout(channel_, nullptr, &time);
    auto readable = [](Poller& poller) -> Task<void> { co_return co_await poller.readable(); };
    if (left == nullptr) {
        co_return co_await readable(poller_);
    }
    const auto duration =
        std::chrono::seconds(left->tv_sec) + std::chrono::microseconds(left->tv_usec);
    Result<void> waited = co_await with_timeout(duration, readable(poller_));
    if (!waited && waited.error().kind() == ErrorKind::timed_out) {
        co_return ok;
    }
    co_return waited;
}

void Lookup::process() {
    std::array<epoll_event, 16> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
        ares_process_fd(channel_,
                        failed || (event.events & EPOLLIN) != 0 ? event.data.fd : ARES_SOCKET_BAD,
                        (event.events & EPOLLOUT) != 0 ? event.data.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // Its timeouts.
}

Error Lookup::failure() const {
    if (status_ == ARES_ENOTFOUND || status_ == ARES_ENODATA || status_ == ARES_EBADNAME ||
        status_ == ARES_SUCCESS) {
        // Not not_found: whoever asked for an image would hear that the image is missing.
        return Error(ErrorKind::internal, "look up " + host_ + ": no such host");
    }
    return Error(ErrorKind::unavailable,
                 "look up " + host_ + ": " + std::string(ares_strerror(status_)));
}

Task<std::vector<std::string>> Lookup::run() {
    CO_CHECK(start());
    while (!done_) {
        CO_CHECK(co_await wait());
        process();
    }
    if (addresses_.empty()) {
        co_return failure();
    }
    co_return std::move(addresses_);
}

}  // namespace

Task<std::vector<std::string>> resolve_host(std::string host, std::string servers) {
    if (is_ip_address(host)) {
        std::vector<std::string> itself{std::move(host)};
        co_return std::move(itself);
    }
    Lookup lookup(std::move(host), std::move(servers));
    co_return co_await lookup.run();
}

}  // namespace davit
