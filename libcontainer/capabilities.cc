#include "libcontainer/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>

namespace davit {

namespace {

// Indexed by number.
constexpr std::array<std::string_view, 41> names = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
static_assert(names[CAP_SYS_ADMIN] == "CAP_SYS_ADMIN");
static_assert(names[CAP_SETFCAP] == "CAP_SETFCAP");
static_assert(names[CAP_CHECKPOINT_RESTORE] == "CAP_CHECKPOINT_RESTORE");

std::string upper_with_prefix(std::string_view name) {
    std::string text(name);
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return text.starts_with("CAP_") ? text : "CAP_" + text;
}

struct Listed {
    CapabilitySet set = 0;
    bool all = false;
};

Result<Listed> listed(std::string_view field, std::span<const std::string> list) {
    Listed result;
    for (const std::string& name : list) {
        const std::string full = upper_with_prefix(name);
        if (full == "CAP_ALL") {
            result.all = true;
            continue;
        }
        const auto number = capability_number(full);
        if (!number) {
            return Error(
                ErrorKind::invalid_argument,
                "invalid " + std::string(field) + ": unknown capability: \"" + full + "\"");
        }
        result.set |= capability_bit(*number);
    }
    return result;
}

}  // namespace

Result<unsigned> capability_number(std::string_view name) {
    const std::string full = upper_with_prefix(name);
    const auto* const found = std::find(names.begin(), names.end(), full);
    if (found == names.end()) {
        return Error(ErrorKind::invalid_argument, "unknown capability: \"" + full + "\"");
    }
    return static_cast<unsigned>(found - names.begin());
}

std::string_view capability_name(unsigned number) {
    return number < names.size() ? names[number] : std::string_view{};
}

CapabilitySet capabilities_default() {
    CapabilitySet set = 0;
    for (const unsigned number : {CAP_CHOWN,
                                  CAP_DAC_OVERRIDE,
                                  CAP_FSETID,
                                  CAP_FOWNER,
                                  CAP_MKNOD,
                                  CAP_NET_RAW,
                                  CAP_SETGID,
                                  CAP_SETUID,
                                  CAP_SETFCAP,
                                  CAP_SETPCAP,
                                  CAP_NET_BIND_SERVICE,
                                  CAP_SYS_CHROOT,
                                  CAP_KILL,
                                  CAP_AUDIT_WRITE}) {
        set |= capability_bit(number);
    }
    return set;
}

CapabilitySet capabilities_available() {
    static const CapabilitySet available = [] {
        CapabilitySet set = 0;
        for (unsigned number = 0; number < 64; ++number) {
            if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) {
                set |= capability_bit(number);
            }
        }
        return set;
    }();
    return available;
}

Result<CapabilitySet> capabilities_merge(CapabilitySet base,
                                         std::span<const std::string> add,
                                         std::span<const std::string> drop) {
    TRY(const Listed added, listed("CapAdd", add));
    TRY(const Listed dropped, listed("CapDrop", drop));
    if (const CapabilitySet missing = added.set & ~capabilities_available(); missing != 0) {
        const auto number = static_cast<unsigned>(__builtin_ctzll(missing));
        return Error(
            ErrorKind::invalid_argument,
            "invalid CapAdd: capability not supported by your kernel or not available in the "
            "current environment: \"" +
                std::string(capability_name(number)) + "\"");
    }
    // In Docker's order: adding ALL wins over dropping ALL.
    if (added.all) {
        return capabilities_available() & ~dropped.set;
    }
    if (dropped.all) {
        return added.set;
    }
    return (base & ~dropped.set) | added.set;
}

}  // namespace davit
