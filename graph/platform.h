#pragma once
/// Platform: what an image runs on, and which of an index's images suits a wanted one.
/// Follows: OCI image-spec image-index.md "platform"; containerd's matching order of variants.
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/result.h"

namespace davit {

struct Platform {
    std::string os;
    std::string architecture;
    std::string variant;
    std::string os_version;
    std::vector<std::string> os_features;

    /// "linux/arm/v7"; the variant only if there is one.
    std::string str() const;

    /// One spelling for each: x86_64 is amd64, aarch64 and arm64/v8 are arm64, arm is arm/v7.
    Platform normalized() const;

    auto operator<=>(const Platform&) const = default;
};

/// Of this build of davit: linux on its processor.
Platform platform_host();

/// "os/architecture[/variant]", or one of os and architecture alone, the other being the host's.
/// Gives: normalized. Errors: invalid_argument.
Result<Platform> platform_parse(std::string_view text);

/// How well an image for `offered` runs where `wanted` is asked for: 0 is not at all, otherwise
/// more is better. arm/v7 also takes v6 and v5; arm64 also takes 32-bit arm; amd64/v3 takes v2 and
/// v1.
int platform_match(const Platform& wanted, const Platform& offered);

/// Refuse an image that is for another platform. Takes: image, as the client named it.
/// Errors: not_found, in Docker's words: its command line pulls then, docker-py knows the text.
Result<void> platform_require(std::string_view image,
                              const Platform& wanted,
                              const Platform& actual);

}  // namespace davit
