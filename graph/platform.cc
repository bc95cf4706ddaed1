#include "graph/platform.h"

#include <algorithm>

namespace davit {

namespace {

std::string lowered(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return out;
}

/// The number of "v7" (or "7"); 0 for anything else.
int variant_number(std::string_view variant) {
    if (variant.starts_with('v')) {
        variant.remove_prefix(1);
    }
    return variant.size() == 1 && variant[0] >= '1' && variant[0] <= '9' ? variant[0] - '0' : 0;
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    });
}

bool is_known_os(std::string_view text) {
    return text == "linux" || text == "windows" || text == "darwin" || text == "freebsd";
}

/// Later variants run what was built for earlier ones; the nearest is the best.
int score_up_to(int have, int offered) {
    return offered >= 1 && offered <= have ? 10 + offered : 0;
}

int match_architecture(const Platform& wanted, const Platform& offered) {
    if (wanted.architecture == "arm64" && offered.architecture == "arm") {
        return score_up_to(8, variant_number(offered.variant)) > 0 ? variant_number(offered.variant)
                                                                   : 0;  // Below every arm64.
    }
    if (wanted.architecture != offered.architecture) {
        return 0;
    }
    if (wanted.architecture == "arm") {
        return score_up_to(variant_number(wanted.variant), variant_number(offered.variant));
    }
    if (wanted.architecture == "amd64" || wanted.architecture == "arm64") {
        const int base = wanted.architecture == "arm64" ? 8 : 1;
        const auto number = [base](const Platform& platform) {
            return platform.variant.empty() ? base : variant_number(platform.variant);
        };
        return score_up_to(number(wanted), number(offered));
    }
    return wanted.variant == offered.variant ? 10 : 0;
}

}  // namespace

std::string Platform::str() const {
    std::string out = os + "/" + architecture;
    if (!variant.empty()) {
        out.append("/").append(variant);
    }
    return out;
}

Platform Platform::normalized() const {
    Platform out = *this;
    out.os = lowered(os);
    out.architecture = lowered(architecture);
    out.variant = lowered(variant);
    if (out.os == "macos") {
        out.os = "darwin";
    }
    if (out.architecture == "x86_64" || out.architecture == "x86-64") {
        out.architecture = "amd64";
    } else if (out.architecture == "i386" || out.architecture == "i686") {
        out.architecture = "386";
    } else if (out.architecture == "aarch64") {
        out.architecture = "arm64";
    } else if (out.architecture == "armhf") {
        out.architecture = "arm";
        out.variant = "v7";
    } else if (out.architecture == "armel") {
        out.architecture = "arm";
        out.variant = "v6";
    }
    if (variant_number(out.variant) > 0) {
        out.variant = "v" + std::to_string(variant_number(out.variant));
    }
    if (out.architecture == "arm" && out.variant.empty()) {
        out.variant = "v7";
    }
    const bool is_base = (out.architecture == "arm64" && out.variant == "v8") ||
                         (out.architecture == "amd64" && out.variant == "v1");
    if (is_base || out.architecture == "386") {
        out.variant.clear();
    }
    return out;
}

Platform platform_host() {
#if defined(__x86_64__)
    constexpr std::string_view architecture = "amd64";
#elif defined(__aarch64__)
    constexpr std::string_view architecture = "arm64";
#else
#error "name this architecture as GOARCH does"
#endif
    Platform host;
    host.os = "linux";
    host.architecture = std::string(architecture);
    return host;
}

Result<Platform> platform_parse(std::string_view text) {
    std::vector<std::string_view> parts;
    for (std::string_view rest = text;;) {
        const std::size_t slash = rest.find('/');
        parts.push_back(rest.substr(0, slash));
        if (slash == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(slash + 1);
    }
    if (parts.size() > 3 || !std::ranges::all_of(parts, is_word)) {
        return Error(ErrorKind::invalid_argument,
                     "\"" + std::string(text) +
                         "\": unknown operating system or architecture: invalid argument");
    }
    Platform platform = platform_host();
    if (parts.size() == 1 && is_known_os(lowered(parts[0]))) {
        platform.os = std::string(parts[0]);
        return platform.normalized();
    }
    if (parts.size() > 1) {
        platform.os = std::string(parts[0]);
    }
    platform.architecture = std::string(parts[parts.size() == 1 ? 0 : 1]);
    if (parts.size() == 3) {
        platform.variant = std::string(parts[2]);
    }
    return platform.normalized();
}

int platform_match(const Platform& wanted, const Platform& offered) {
    const Platform want = wanted.normalized();
    const Platform offer = offered.normalized();
    if (want.os != offer.os) {
        return 0;
    }
    if (!want.os_version.empty() && want.os_version != offer.os_version) {
        return 0;
    }
    const auto is_offered = [&](const std::string& feature) {
        return std::ranges::find(offer.os_features, feature) != offer.os_features.end();
    };
    if (!std::ranges::all_of(want.os_features, is_offered)) {
        return 0;
    }
    return match_architecture(want, offer);
}

Result<void> platform_require(std::string_view image,
                              const Platform& wanted,
                              const Platform& actual) {
    if (platform_match(wanted, actual) > 0) {
        return ok;
    }
    return Error(ErrorKind::not_found,
                 std::string("image with reference ")
                     .append(image)
                     .append(" was found but does not match the specified platform: wanted ")
                     .append(wanted.str())
                     .append(", actual: ")
                     .append(actual.str()));
}

}  // namespace davit
