#pragma once
/// Docker's seccomp profiles: JSON that says what a container may call, as given with
/// `--security-opt seccomp=FILE` (the client sends the file's contents) or to the daemon.
///
/// Follows: docs.docker.com/engine/security/seccomp; moby profiles/seccomp/seccomp_linux.go
/// setupSeccomp(); runc libcontainer/specconv/spec_linux.go SetupSeccomp() and
/// libcontainer/seccomp/seccomp_linux.go matchCall(), whose words errors have.
#include <cstddef>
#include <optional>
#include <string_view>

#include "libcontainer/seccomp.h"
#include "reactor/base/result.h"

namespace davit {

/// Names of profiles that are no JSON.
inline constexpr std::string_view seccomp_builtin = "builtin";
inline constexpr std::string_view seccomp_unconfined = "unconfined";

/// Larger than any that a filter of BPF_MAXINSNS instructions could be made from.
inline constexpr std::size_t seccomp_profile_bytes_max = 1 << 20;

struct KernelVersion {
    unsigned major = 0;
    unsigned minor = 0;

    auto operator<=>(const KernelVersion&) const = default;
};

/// "6.1.0-18-amd64" is 6.1; what is no number counts as 0.
KernelVersion kernel_version_parse(std::string_view release);

/// What a profile's "includes" and "excludes" ask about; the architecture is this one.
struct SeccompTarget {
    CapabilitySet capabilities = 0;  // The container's bounding set.
    KernelVersion kernel = {};
};

/// Read a profile's JSON. What is not for the target is left out, calls that nobody knows are kept:
/// seccomp_compile() ignores them. Rules for one call are settled as libseccomp settles them: one
/// without conditions decides alone, one that does what is done anyway counts for nothing.
/// Gives:  nothing if the profile says nothing, which means unconfined.
/// Errors: invalid_argument ("Decoding seccomp profile failed: ...", an unknown action, operator,
///         architecture or flag, with its place); unsupported (SCMP_ACT_NOTIFY, listenerPath);
///         resource_exhausted (beyond seccomp_profile_bytes_max).
Result<std::optional<SeccompProfile>> seccomp_profile_parse(std::string_view json,
                                                            const SeccompTarget& target);

/// Parse and compile. Errors: as seccomp_profile_parse() and seccomp_compile().
/// Blocks: some milliseconds for a large profile, so not on the loop.
Result<SeccompFilter> seccomp_profile_compile(std::string_view json, const SeccompTarget& target);

}  // namespace davit
