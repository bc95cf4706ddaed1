#include "http/registry/endpoint.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace davit {

namespace {

/// "host:port" or "[v6]:port" without its port and brackets.
std::string_view host_only(std::string_view domain) {
    if (domain.starts_with('[')) {
        return domain.substr(1, domain.find(']') - 1);
    }
    const std::size_t colon = domain.rfind(':');
    // More than one colon and no brackets: an IPv6 address by itself.
    return colon == std::string_view::npos || domain.find(':') != colon ? domain
                                                                        : domain.substr(0, colon);
}

struct Address {
    std::array<std::uint8_t, 16> bytes{};
    unsigned bits = 0;  // 32 or 128.
};

std::optional<Address> address_parse(std::string_view text) {
    const std::string host(text);
    Address address;
    if (::inet_pton(AF_INET, host.c_str(), address.bytes.data()) == 1) {
        address.bits = 32;
        return address;
    }
    if (::inet_pton(AF_INET6, host.c_str(), address.bytes.data()) == 1) {
        address.bits = 128;
        return address;
    }
    return std::nullopt;
}

bool in_network(const Address& address, std::string_view network) {
    const std::size_t slash = network.find('/');
    const std::optional<Address> base = address_parse(network.substr(0, slash));
    if (!base || base->bits != address.bits) {
        return false;
    }
    unsigned bits = base->bits;
    if (slash != std::string_view::npos) {
        const std::string_view text = network.substr(slash + 1);
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
        if (error != std::errc{} || end != text.data() + text.size() || bits > base->bits) {
            return false;
        }
    }
    for (unsigned bit = 0; bit < bits; ++bit) {
        const unsigned mask = 0x80U >> (bit % 8);
        if ((address.bytes[bit / 8] & mask) != (base->bytes[bit / 8] & mask)) {
            return false;
        }
    }
    return true;
}

Result<RegistryEndpoint> endpoint_make(const RegistryConfig& config, std::string_view url) {
    RegistryEndpoint endpoint;
    TRY(endpoint.base, Url::parse(url));
    const std::string with_port = endpoint.base.host + ":" + std::to_string(endpoint.base.port);
    endpoint.insecure = registry_is_insecure(config, endpoint.base.authority()) ||
                        registry_is_insecure(config, with_port);
    if (!endpoint.base.target.ends_with('/')) {
        endpoint.base.target.push_back('/');
    }
    return endpoint;
}

}  // namespace

bool registry_is_insecure(const RegistryConfig& config, std::string_view domain) {
    const std::string_view host = host_only(domain);
    if (host == "localhost") {
        return true;
    }
    const std::optional<Address> address = address_parse(host);
    if (address && (in_network(*address, "127.0.0.0/8") || in_network(*address, "::1"))) {
        return true;
    }
    for (const std::string& insecure : config.insecure_hosts) {
        if (insecure == domain || insecure == host || (address && in_network(*address, insecure))) {
            return true;
        }
    }
    return false;
}

Result<std::vector<RegistryEndpoint>> registry_endpoints(const RegistryConfig& config,
                                                         const std::string& domain) {
    std::vector<RegistryEndpoint> endpoints;
    if (const auto mirrors = config.mirrors.find(domain); mirrors != config.mirrors.end()) {
        for (const std::string& url : mirrors->second) {
            Result<RegistryEndpoint> endpoint = endpoint_make(config, url);
            if (!endpoint) {
                return std::move(endpoint).error().context("registry mirror", url);
            }
            endpoint->mirror = true;
            endpoints.push_back(*std::move(endpoint));
        }
    }
    const std::string host = domain == "docker.io" ? "registry-1.docker.io" : domain;
    TRY(RegistryEndpoint own, endpoint_make(config, "https://" + host + "/"));
    endpoints.push_back(std::move(own));
    return endpoints;
}

}  // namespace davit
