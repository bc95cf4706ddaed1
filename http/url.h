#pragma once
/// Url: an absolute http, https or unix-socket address. Follows: RFC 3986.
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/result.h"

namespace davit {

struct Url {
    /// Lower case: "http" or "https".
    std::string scheme;
    /// Lower case; an IPv6 address without its brackets.
    std::string host;
    std::uint16_t port = 0;
    /// Path and query as they go into the request line; begins with "/". A fragment is dropped.
    std::string target = "/";
    /// "user:password" before the host, percent-decoded; "" if there is none.
    std::string user_info;

    /// Errors: invalid_argument: another scheme, no host, a bad port, a space or control character.
    static Result<Url> parse(std::string_view text);

    /// Resolve a Location header against this URL: absolute, "//host/x", "/x", "?x" or relative.
    /// Errors: as parse().
    Result<Url> resolve(std::string_view reference) const;

    std::uint16_t default_port() const { return scheme == "https" ? 443 : 80; }

    /// host[:port] as in a Host header: without the scheme's default port, with IPv6 brackets.
    std::string authority() const;

    /// Same scheme, host and port: credentials may follow a redirect.
    bool same_origin(const Url& other) const {
        return scheme == other.scheme && host == other.host && port == other.port;
    }

    /// Without user_info, so that it can be shown.
    std::string text() const;
};

}  // namespace davit
