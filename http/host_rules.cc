#include "http/host_rules.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "http/message.h"

namespace davit {

namespace {

struct Address {
    int family = AF_UNSPEC;
    unsigned char bytes[16] = {};

    static std::optional<Address> parse(std::string_view text) {
        const std::string copy(text);
        for (const int family : {AF_INET, AF_INET6}) {
            Address address;
            address.family = family;
            if (::inet_pton(family, copy.c_str(), address.bytes) == 1) {
                return address;
            }
        }
        return std::nullopt;
    }
};

bool in_block(std::string_view host, std::string_view block) {
    const std::size_t slash = block.find('/');
    const auto address = Address::parse(host);
    const auto network = Address::parse(block.substr(0, slash));
    const std::string_view digits = block.substr(slash + 1);
    unsigned bits = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (!address || !network || address->family != network->family || parsed.ec != std::errc() ||
        parsed.ptr != digits.data() + digits.size() ||
        bits > (address->family == AF_INET ? 32U : 128U)) {
        return false;
    }
    const unsigned whole = bits / 8;
    const unsigned mask = 0xffU << (8 - bits % 8) & 0xffU;
    return std::memcmp(address->bytes, network->bytes, whole) == 0 &&
           (bits % 8 == 0 || ((address->bytes[whole] ^ network->bytes[whole]) & mask) == 0);
}

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
    return text.size() >= end.size() &&
           equals_ignoring_case(text.substr(text.size() - end.size()), end);
}

/// Take ":port" off a rule's end. False if there is one and it is another port.
bool port_fits(std::string_view& rule, std::uint16_t port) {
    const std::size_t colon = rule.rfind(':');
    const bool bracketed = rule.starts_with('[');
    if (colon == std::string_view::npos ||
        (!bracketed && rule.find(':') != colon) ||  // A bare IPv6 address.
        (bracketed && rule.find(']') > colon)) {    // "[::1]".
        return true;
    }
    const bool fits = rule.substr(colon + 1) == std::to_string(port);
    rule = rule.substr(0, colon);
    return fits;
}

std::vector<std::string> list_parse(std::string_view text) {
    std::vector<std::string> entries;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        std::string_view entry = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t begin = std::min(entry.find_first_not_of(' '), entry.size());
        entry = entry.substr(begin, entry.find_last_not_of(' ') + 1 - begin);
        if (!entry.empty()) {
            entries.emplace_back(entry);
        }
    }
    return entries;
}

std::string_view environment(const char* lower, const char* upper) {
    for (const char* name : {lower, upper}) {
        const char* value = std::getenv(name);
        if (value != nullptr && *value != '\0') {
            return value;
        }
    }
    return {};
}

Result<std::optional<Url>> proxy_parse(std::string_view text) {
    if (text.empty()) {
        return std::optional<Url>();
    }
    std::string whole(text);
    if (whole.find("://") == std::string::npos) {
        whole.insert(0, "http://");
    }
    auto url = Url::parse(whole);
    if (!url) {
        return std::move(url).error().context("proxy");
    }
    return std::optional<Url>(*std::move(url));
}

}  // namespace

bool HostRules::match(std::string_view host, std::uint16_t port) const {
    for (const std::string& rule : rules_) {
        if (match_one(rule, host, port)) {
            return true;
        }
    }
    return false;
}

bool HostRules::match_one(std::string_view rule, std::string_view host, std::uint16_t port) const {
    if (rule == "*") {
        return true;
    }
    if (rule.find('/') != std::string_view::npos) {
        return in_block(host, rule);
    }
    if (!port_fits(rule, port)) {
        return false;
    }
    if (rule.starts_with('[') && rule.ends_with(']')) {
        rule = rule.substr(1, rule.size() - 2);
    }
    if (rule.starts_with("*.")) {
        rule.remove_prefix(1);
    }
    if (rule.starts_with('.')) {
        return ends_with_ignoring_case(host, rule) && host.size() > rule.size();
    }
    return equals_ignoring_case(rule, host) ||
           (subdomains_ && ends_with_ignoring_case(host, "." + std::string(rule)));
}

bool is_ip_address(const std::string& host) {
    return Address::parse(host).has_value();
}

bool is_loopback_host(std::string_view host) {
    return equals_ignoring_case(host, "localhost") || in_block(host, "127.0.0.0/8") ||
           in_block(host, "::1/128");
}

Result<ProxyRules> ProxyRules::from_environment() {
    return make(environment("http_proxy", "HTTP_PROXY"),
                environment("https_proxy", "HTTPS_PROXY"),
                environment("no_proxy", "NO_PROXY"));
}

Result<ProxyRules> ProxyRules::make(std::string_view http,
                                    std::string_view https,
                                    std::string_view exceptions) {
    ProxyRules rules;
    TRY(rules.http_, proxy_parse(http));
    TRY(rules.https_, proxy_parse(https));
    rules.exceptions_ = HostRules(list_parse(exceptions), true);
    return rules;
}

const Url* ProxyRules::proxy_for(const Url& url) const {
    const std::optional<Url>& proxy = url.scheme == "https" ? https_ : http_;
    if (!proxy || is_loopback_host(url.host) || exceptions_.match(url.host, url.port)) {
        return nullptr;
    }
    return &*proxy;
}

}  // namespace davit
