#pragma once
/// Lists of hosts as NO_PROXY and insecure registries have them, and the proxies of the
/// environment.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/url.h"

namespace davit {

/// "host" (and its subdomains if subdomains are wanted), ".domain" (subdomains only), "host:port",
/// an address, a CIDR block, or "*" for all. Names are not resolved.
class HostRules {
  public:
    HostRules() = default;

    explicit HostRules(std::vector<std::string> rules, bool subdomains = false)
        : rules_(std::move(rules)), subdomains_(subdomains) {}

    bool match(std::string_view host, std::uint16_t port) const;

  private:
    bool match_one(std::string_view rule, std::string_view host, std::uint16_t port) const;

    std::vector<std::string> rules_;
    bool subdomains_ = false;
};

/// A numeric IPv4 or IPv6 address, without brackets.
bool is_ip_address(const std::string& host);

/// True for addresses of this machine: "localhost", 127.0.0.0/8, ::1.
bool is_loopback_host(std::string_view host);

/// HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Follows: golang.org/x/net/http/httpproxy, which is what
/// users of Docker know: lower case wins over upper case, and loopback is never proxied.
class ProxyRules {
  public:
    ProxyRules() = default;

    /// Errors: invalid_argument for a proxy that is not a URL or host:port.
    static Result<ProxyRules> from_environment();
    static Result<ProxyRules> make(std::string_view http,
                                   std::string_view https,
                                   std::string_view exceptions);

    /// The proxy for a URL; null: go there directly.
    const Url* proxy_for(const Url& url) const;

  private:
    std::optional<Url> http_;
    std::optional<Url> https_;
    HostRules exceptions_;
};

}  // namespace davit
