/// HttpClient: which connection a request goes over, and how a new one is made.
#include <poll.h>

#include <cassert>
#include <list>
#include <map>

#include <openssl/evp.h>

#include "http/client_state.h"
#include "http/host_certificates.h"
#include "http/host_rules.h"
#include "http/resolver.h"
#include "http/tls.h"
#include "reactor/offload.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// A host with more than one address gets this long for each but the last.
constexpr Nanoseconds address_time_max = std::chrono::seconds(5);

struct Connected {
    std::unique_ptr<ByteStream> stream;
    int fd = -1;
};

/// A server's keys and trust, and what they were made from.
struct HostTls {
    HostCertificates certificates;
    std::shared_ptr<TlsContext> context;
};

Result<HostTls> host_tls_make(TlsClientOptions options,
                              const std::vector<std::string>& directories,
                              HostTls last) {
    HostTls made;
    for (const std::string& directory : directories) {
        TRY_VOID(host_certificates_read(directory, made.certificates));
    }
    if (last.context && last.certificates == made.certificates) {
        return last;
    }
    options.authorities = made.certificates.authorities;
    options.clients = made.certificates.clients;
    TRY(made.context, TlsContext::client(options));
    return made;
}

/// "host:443", "[::1]:443".
std::string authority_with_port(const Url& url) {
    const bool v6 = url.host.find(':') != std::string::npos;
    return (v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
}

std::string basic_credentials(const std::string& user_info) {
    std::string out((user_info.size() + 2) / 3 * 4 + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(user_info.data()),
                                     static_cast<int>(user_info.size()));
    out.resize(static_cast<std::size_t>(size));
    return "Basic " + out;
}

bool idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
           method == "OPTIONS";
}

/// The peer closed an idle connection. (Bytes alone do not say so: TLS sends tickets.)
bool closed_by_peer(int fd) {
    pollfd state{fd, POLLRDHUP, 0};
    return ::poll(&state, 1, 0) > 0;
}

/// The addresses one after the other.
Task<std::unique_ptr<FdStream>> connect_host(std::string host,
                                             std::uint16_t port,
                                             Nanoseconds timeout) {
    CO_TRY(const std::vector<std::string> addresses,
           co_await with_timeout(timeout, resolve_host(host)));
    std::optional<Error> last;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        const bool is_last = i + 1 == addresses.size();
        const Nanoseconds time = is_last ? timeout : std::min(timeout, address_time_max);
        auto stream = co_await with_timeout(time, connect_tcp(addresses[i], port));
        if (stream || stream.error().kind() == ErrorKind::cancelled) {
            co_return std::move(stream);
        }
        last = std::move(stream).error();
    }
    co_return std::move(*last);
}

}  // namespace

struct HttpClient::State : std::enable_shared_from_this<HttpClient::State> {
    explicit State(HttpClientOptions with)
        : options(std::move(with)), insecure(options.insecure_hosts) {}

    Task<ClientResponse> send(Url url, ClientRequest request);
    Task<std::unique_ptr<ClientResponse::Lease>> open(Url url, std::string key, const Url* proxy);
    Task<Connected> tunnel(Connected to_proxy, Url proxy, Url url);
    Task<Connected> connect(Url url, const Url* proxy);
    Task<std::shared_ptr<TlsContext>> tls_context(const Url& url);
    Result<const Url*> proxy_of(const Url& url);

    std::unique_ptr<ClientResponse::Lease> idle_take(const std::string& key);
    void idle_put(std::string key, int fd, std::unique_ptr<ClientConnection> connection);
    void idle_expire();

    struct Idle {
        std::string key;
        int fd = -1;
        std::unique_ptr<ClientConnection> connection;
        MonotonicTime until;
    };

    HttpClientOptions options;
    HostRules insecure;
    std::optional<ProxyRules> proxies;
    std::list<Idle> idle;  // Oldest first, so `until` ascends.
    TimerNode expiry;
    std::map<std::string, HostTls> contexts;
};

ClientResponse::Lease::~Lease() {
    const auto state = client.lock();
    if (state && connection && connection->reusable()) {
        state->idle_put(std::move(key), fd, std::move(connection));
    }
}

std::unique_ptr<ClientResponse::Lease> HttpClient::State::idle_take(const std::string& key) {
    // The youngest one: the least likely to be closed.
    for (auto entry = idle.end(); entry != idle.begin();) {
        --entry;
        if (entry->key != key) {
            continue;
        }
        if (closed_by_peer(entry->fd)) {
            entry = idle.erase(entry);
            continue;
        }
        auto lease = std::make_unique<ClientResponse::Lease>();
        lease->client = weak_from_this();
        lease->key = key;
        lease->fd = entry->fd;
        lease->connection = std::move(entry->connection);
        idle.erase(entry);
        return lease;
    }
    return nullptr;
}

void HttpClient::State::idle_put(std::string key,
                                 int fd,
                                 std::unique_ptr<ClientConnection> connection) {
    if (idle.size() >= options.idle_connections_max) {
        if (idle.empty()) {
            return;
        }
        idle.pop_front();
    }
    Idle entry;
    entry.key = std::move(key);
    entry.fd = fd;
    entry.connection = std::move(connection);
    entry.until = monotonic_now() + options.idle_timeout;
    idle.push_back(std::move(entry));
    idle_expire();
}

/// Close what idled too long, and look again when the next one will have.
void HttpClient::State::idle_expire() {
    const MonotonicTime now = monotonic_now();
    while (!idle.empty() && idle.front().until <= now) {
        idle.pop_front();
    }
    if (idle.empty()) {
        expiry.disarm();
        return;
    }
    expiry.arm(
        idle.front().until,
        [](void* self) noexcept { static_cast<State*>(self)->idle_expire(); },
        this);
}

Result<const Url*> HttpClient::State::proxy_of(const Url& url) {
    if (!options.proxy_from_environment) {
        return nullptr;
    }
    if (!proxies) {
        TRY(proxies, ProxyRules::from_environment());
    }
    return proxies->proxy_for(url);
}

/// Made on the worker pool, for it parses all of the system's certificates; again only when the
/// server's own have changed.
Task<std::shared_ptr<TlsContext>> HttpClient::State::tls_context(const Url& url) {
    const std::string key = authority_with_port(url);
    TlsClientOptions tls;
    tls.insecure = insecure.match(url.host, url.port);
    tls.ca_files = options.ca_files;
    std::vector<std::string> directories;
    if (!tls.insecure && !options.certs_directory.empty()) {
        tls.directory = options.certs_directory + "/" + url.authority();
        directories.push_back(tls.directory);
        if (url.authority() != key) {
            directories.push_back(options.certs_directory + "/" + key);
        }
    }
    const auto known = contexts.find(key);
    auto make =
        [tls, directories, last = known != contexts.end() ? known->second : HostTls()]() mutable {
            return host_tls_make(std::move(tls), directories, std::move(last));
        };
    auto offloaded = offload(std::move(make));
    CO_TRY(HostTls made, co_await offloaded);
    contexts[key] = made;
    co_return std::move(made.context);
}

/// Ask a proxy for a connection to the url's host. Follows: RFC 9110 section 9.3.6.
Task<Connected> HttpClient::State::tunnel(Connected to_proxy, Url proxy, Url url) {
    ClientOptions limits;
    limits.stall_timeout = options.connect_timeout;
    auto connection = ClientConnection::over(std::move(to_proxy.stream), limits);
    ClientRequest request;
    request.method = "CONNECT";
    request.target = authority_with_port(url);
    request.headers.add("Host", request.target);
    if (!proxy.user_info.empty()) {
        request.headers.add("Proxy-Authorization", basic_credentials(proxy.user_info));
    }
    CO_TRY(ClientResponse response, co_await connection->send(std::move(request)));
    auto taken = response.hijack();
    if (!taken || !taken->buffered.empty()) {
        co_return Error(ErrorKind::unavailable,
                        "proxy " + proxy.authority() + " refuses: " +
                            std::to_string(response.status()) + " " + response.head.reason);
    }
    Connected tunneled;
    tunneled.stream = std::move(taken->stream);
    tunneled.fd = to_proxy.fd;
    co_return std::move(tunneled);
}

Task<Connected> HttpClient::State::connect(Url url, const Url* proxy) {
    const Url next = proxy != nullptr ? *proxy : url;
    CO_TRY(auto socket, co_await connect_host(next.host, next.port, options.connect_timeout));
    Connected connected;
    connected.fd = socket->fd();
    connected.stream = std::move(socket);
    auto secure = [](Connected plain,
                     std::shared_ptr<TlsContext> context,
                     std::string host,
                     Nanoseconds timeout) -> Task<Connected> {
        auto handshake =
            TlsStream::connect(std::move(plain.stream), std::move(context), std::move(host));
        CO_TRY(plain.stream, co_await with_timeout(timeout, std::move(handshake)));
        co_return std::move(plain);
    };
    if (proxy != nullptr && proxy->scheme == "https") {
        CO_TRY(auto context, co_await tls_context(next));
        CO_TRY(connected,
               co_await secure(
                   std::move(connected), std::move(context), next.host, options.connect_timeout));
    }
    if (proxy != nullptr && url.scheme == "https") {
        CO_TRY(connected, co_await tunnel(std::move(connected), next, url));
    }
    if (url.scheme == "https") {
        CO_TRY(auto context, co_await tls_context(url));
        CO_TRY(connected,
               co_await secure(
                   std::move(connected), std::move(context), url.host, options.connect_timeout));
    }
    co_return std::move(connected);
}

Task<std::unique_ptr<ClientResponse::Lease>> HttpClient::State::open(Url url,
                                                                     std::string key,
                                                                     const Url* proxy) {
    auto connected = co_await connect(url, proxy);
    if (!connected) {
        co_return std::move(connected).error().context("connect to", url.authority());
    }
    ClientOptions limits;
    limits.stall_timeout = options.stall_timeout;
    auto lease = std::make_unique<ClientResponse::Lease>();
    lease->client = weak_from_this();
    lease->key = std::move(key);
    lease->fd = connected->fd;
    lease->connection = ClientConnection::over(std::move(connected->stream), limits);
    co_return std::move(lease);
}

Task<ClientResponse> HttpClient::State::send(Url url, ClientRequest request) {
    const auto self = shared_from_this();
    CO_TRY(const Url* const proxy, proxy_of(url));
    const bool forwarded = proxy != nullptr && url.scheme == "http";
    std::string key = url.scheme + "://" + url.authority();
    if (proxy != nullptr) {
        key.append(" by ").append(proxy->text());
    }
    request.target = forwarded ? url.text() : url.target;
    request.headers.set("Host", url.authority());
    if (!request.headers.contains("User-Agent")) {
        request.headers.add("User-Agent", options.user_agent);
    }
    if (forwarded && !proxy->user_info.empty()) {
        request.headers.set("Proxy-Authorization", basic_credentials(proxy->user_info));
    }
    for (;;) {
        auto lease = idle_take(key);
        const bool reused = lease != nullptr;
        if (!reused) {
            CO_TRY(lease, co_await open(url, key, proxy));
        }
        ClientConnection::State& connection = *lease->connection->state_;
        Result<void> exchanged = co_await connection.exchange(request);
        if (exchanged) {
            ClientResponse response;
            response.head = std::move(connection.parser.response());
            response.connection_ = lease->connection.get();
            response.lease_ = std::move(lease);
            co_return std::move(response);
        }
        // The server may close an idle connection in the moment in which we use it.
        const bool again = reused && !request.producer && idempotent(request.method) &&
                           exchanged.error().kind() == ErrorKind::unavailable &&
                           connection.parser.untouched();
        if (!again) {
            co_return std::move(exchanged).error().context(request.method, url.text());
        }
    }
}

HttpClient::HttpClient(HttpClientOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

HttpClient::~HttpClient() = default;

Task<ClientResponse> HttpClient::send(Url url, ClientRequest request) {
    return state_->send(std::move(url), std::move(request));
}

std::size_t HttpClient::idle_connections() const {
    return state_->idle.size();
}

}  // namespace davit
