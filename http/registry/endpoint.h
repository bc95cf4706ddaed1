#pragma once
/// Where a registry's requests go: its own host or its mirrors, and by which scheme.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/url.h"
#include "reactor/base/result.h"

namespace davit {

struct RegistryConfig {
    /// Hosts that may be spoken to without a verified certificate, or without TLS: "host",
    /// "host:port", an address or "address/bits". Loopback always may, as with Docker.
    std::vector<std::string> insecure_hosts;
    /// By registry ("docker.io", "quay.io"): base URLs to ask before the registry itself.
    std::map<std::string, std::vector<std::string>> mirrors;
};

struct RegistryEndpoint {
    /// Scheme, host, port, and a path in front of "/v2/" ("/" for none).
    Url base;
    bool mirror = false;
    /// A failed connection by https may be tried again by http.
    bool insecure = false;
};

/// Whether Docker would call the registry insecure. Takes: "host" or "host:port".
bool registry_is_insecure(const RegistryConfig& config, std::string_view domain);

/// Mirrors first, then the registry; docker.io is registry-1.docker.io.
/// Errors: invalid_argument for a mirror or a domain that makes no URL.
Result<std::vector<RegistryEndpoint>> registry_endpoints(const RegistryConfig& config,
                                                         const std::string& domain);

}  // namespace davit
