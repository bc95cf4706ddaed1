#pragma once
/// Seccomp: a profile is a table of rules; compiled once for a capability set it is a BPF program
/// that davit-init loads.
///
/// Follows: seccomp(2); OCI runtime-spec config-linux.md "Seccomp"; moby's default profile.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libcontainer/capabilities.h"

namespace davit {

enum class SeccompAction : std::uint8_t {
    allow,
    fail,
    kill_process,
    kill_thread,
    trap,
    trace,
    log
};

enum class SeccompCompare : std::uint8_t {
    not_equal,
    less,
    less_or_equal,
    equal,
    greater_or_equal,
    greater,
    masked_equal,  // (argument & value) == value_two
};

/// A condition on one argument of a call.
struct SeccompArgument {
    unsigned index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;
    SeccompCompare compare = SeccompCompare::equal;
};

/// One rule; all of its conditions must hold. Names the kernel or libseccomp do not know are left
/// out, as runc does: they do not exist here.
struct SeccompRule {
    std::vector<std::string> names = {};
    SeccompAction action = SeccompAction::allow;
    int errno_value = 0;  // With SeccompAction::fail and ::trace (what the tracer is told).
    std::vector<SeccompArgument> arguments = {};
    CapabilitySet needs_any =
        0;  // Only for containers that hold one of these capabilities; 0: for all.
    CapabilitySet excludes_any = 0;  // Not for containers that hold one of these.
};

struct SeccompProfile {
    SeccompAction default_action = SeccompAction::fail;
    int default_errno = 1;  // EPERM
    std::vector<SeccompRule> rules = {};
    /// It is for the 32-bit sibling, too; else a call of that ends its process.
    bool has_sibling = true;
    unsigned flags = 0;  // SECCOMP_FILTER_FLAG_*.
};

/// A profile as a process is given it.
struct SeccompFilter {
    std::string program = {};  // ProcessSpec::seccomp_filter; empty: unconfined.
    unsigned flags = 0;        // ProcessSpec::seccomp_flags.
};

/// moby's default profile (engine 28) for this architecture.
const SeccompProfile& seccomp_profile_default();

/// Compile a profile for a container holding these capabilities, for the native architecture and
/// its 32-bit sibling; x32 calls get ENOSYS. The first rule that matches a call decides. Calls with
/// a number beyond the newest that the profile names fail with ENOSYS, unless the default action
/// lets calls through, so that a C library newer than the profile falls back to older calls. Gives:
/// the bytes of struct sock_filter[] for ProcessSpec::seccomp_filter. Errors: invalid_argument (a
/// condition on a seventh argument); resource_exhausted (beyond BPF_MAXINSNS). Blocks: below a
/// millisecond for the default profile.
Result<std::string> seccomp_compile(const SeccompProfile& profile, CapabilitySet capabilities);

/// The default profile compiled, from a cache keyed by the capability set. One thread only (the
/// loop).
Result<std::string> seccomp_default_filter(CapabilitySet capabilities);

}  // namespace davit
