#include "http/url.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "http/message.h"

namespace davit {

namespace {

Error bad_url(std::string_view text, std::string_view why) {
    return Error(ErrorKind::invalid_argument,
                 "invalid URL \"" + std::string(text) + "\": " + std::string(why));
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    });
    return out;
}

/// "host", "host:port", "[::1]:port".
Result<void> authority_parse(std::string_view text, std::string_view authority, Url& url) {
    std::string_view port;
    if (authority.starts_with('[')) {
        const std::size_t close = authority.find(']');
        if (close == std::string_view::npos) {
            return bad_url(text, "missing ]");
        }
        url.host = lower_case(authority.substr(1, close - 1));
        port = authority.substr(close + 1);
        if (url.host.find_first_not_of("0123456789abcdef:.") != std::string::npos) {
            return bad_url(text, "not an IPv6 address");
        }
    } else {
        const std::size_t colon = std::min(authority.find(':'), authority.size());
        url.host = lower_case(authority.substr(0, colon));
        port = authority.substr(colon);
    }
    if (url.host.empty()) {
        return bad_url(text, "no host");
    }
    url.port = url.default_port();
    if (port.empty() || port == ":") {
        return ok;
    }
    const char* end = port.data() + port.size();
    const auto [stopped, failure] = std::from_chars(port.data() + 1, end, url.port);
    if (port.front() != ':' || failure != std::errc() || stopped != end || url.port == 0) {
        return bad_url(text, "bad port");
    }
    return ok;
}

/// Remove "." and ".." segments. Follows: RFC 3986 section 5.2.4.
std::string dots_removed(std::string_view path) {
    std::vector<std::string_view> kept;
    bool directory = false;
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view segment = path.substr(at, end - at);
        directory = segment == "." || segment == "..";
        if (segment == "..") {
            if (!kept.empty()) {
                kept.pop_back();
            }
        } else if (segment != ".") {
            kept.push_back(segment);
        }
        at = end + 1;
    }
    std::string out;
    for (const std::string_view segment : kept) {
        out.append("/").append(segment);
    }
    if (directory || out.empty()) {
        out.push_back('/');
    }
    return out;
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
    if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; })) {
        return bad_url("", "a space or control character");
    }
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos) {
        return bad_url(text, "no scheme");
    }
    Url url;
    url.scheme = lower_case(text.substr(0, colon));
    if (url.scheme != "http" && url.scheme != "https") {
        return bad_url(text, "only http and https are known");
    }
    std::string_view rest = text.substr(colon + 3);
    const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
    std::string_view authority = rest.substr(0, end);
    rest.remove_prefix(end);
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        TRY(url.user_info, percent_decode(authority.substr(0, at)));
        authority.remove_prefix(at + 1);
    }
    TRY_VOID(authority_parse(text, authority, url));
    rest = rest.substr(0, rest.find('#'));
    url.target = rest.starts_with('/') ? "" : "/";
    url.target.append(rest);
    return url;
}

Result<Url> Url::resolve(std::string_view reference) const {
    const std::size_t colon = reference.find(':');
    if (colon != std::string_view::npos && colon < reference.find_first_of("/?#")) {
        return parse(reference);
    }
    if (reference.starts_with("//")) {
        return parse(scheme + ":" + std::string(reference));
    }
    // A placeholder authority: only the target and the checks of parse() are wanted.
    const std::string_view path = std::string_view(target).substr(0, target.find('?'));
    std::string joined;
    if (reference.starts_with('/')) {
        joined = reference;
    } else if (reference.starts_with('?')) {
        joined = std::string(path).append(reference);
    } else if (reference.empty() || reference.starts_with('#')) {
        joined = target;
    } else {
        joined = std::string(path.substr(0, path.rfind('/') + 1)).append(reference);
    }
    const std::size_t query = std::min(joined.find_first_of("?#"), joined.size());
    joined = dots_removed(std::string_view(joined).substr(0, query)) + joined.substr(query);
    TRY(const Url parsed, parse("http://placeholder" + joined));
    Url url = *this;
    url.target = parsed.target;
    return url;
}

std::string Url::authority() const {
    const bool v6 = host.find(':') != std::string::npos;
    std::string out = v6 ? "[" + host + "]" : host;
    if (port != default_port()) {
        out.append(":").append(std::to_string(port));
    }
    return out;
}

std::string Url::text() const {
    return scheme + "://" + authority() + target;
}

}  // namespace davit
