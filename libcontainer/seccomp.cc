#include "libcontainer/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "reactor/base/fd.h"

namespace davit {

namespace {

struct ContextRelease {
    void operator()(void* context) const { ::seccomp_release(context); }
};

using Context = std::unique_ptr<void, ContextRelease>;

/// System calls newer than libseccomp 2.5.4's tables (Debian 12, kernel 5.17). Since 424 a call has
/// the same number on every architecture. Can go when the oldest supported libseccomp is 2.6.
struct NewCall {
    std::string_view name;
    std::uint32_t number;
};

constexpr NewCall new_calls[] = {
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
};

/// The first call numbered alike everywhere; below it a number says nothing about age.
constexpr std::uint32_t unified_number_min = 424;

#if defined(__x86_64__)
constexpr std::uint32_t native_audit = AUDIT_ARCH_X86_64;
constexpr std::uint32_t siblings[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
#else
constexpr std::uint32_t native_audit = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t siblings[] = {SCMP_ARCH_ARM};
#endif

std::uint32_t action_value(SeccompAction action, int errno_value) {
    switch (action) {
        case SeccompAction::allow:
            return SCMP_ACT_ALLOW;
        case SeccompAction::fail:
            return SCMP_ACT_ERRNO(static_cast<std::uint32_t>(errno_value));
        case SeccompAction::kill_process:
            return SCMP_ACT_KILL_PROCESS;
        case SeccompAction::kill_thread:
            return SCMP_ACT_KILL_THREAD;
        case SeccompAction::trap:
            return SCMP_ACT_TRAP;
        case SeccompAction::trace:
            return SCMP_ACT_TRACE(static_cast<std::uint32_t>(errno_value));
        case SeccompAction::log:
            return SCMP_ACT_LOG;
    }
    return SCMP_ACT_KILL_PROCESS;
}

scmp_compare compare_value(SeccompCompare compare) {
    switch (compare) {
        case SeccompCompare::not_equal:
            return SCMP_CMP_NE;
        case SeccompCompare::less:
            return SCMP_CMP_LT;
        case SeccompCompare::less_or_equal:
            return SCMP_CMP_LE;
        case SeccompCompare::equal:
            return SCMP_CMP_EQ;
        case SeccompCompare::greater_or_equal:
            return SCMP_CMP_GE;
        case SeccompCompare::greater:
            return SCMP_CMP_GT;
        case SeccompCompare::masked_equal:
            return SCMP_CMP_MASKED_EQ;
    }
    return SCMP_CMP_EQ;
}

class ProfileCompiler {
  public:
    explicit ProfileCompiler(const SeccompProfile& profile) : profile_(profile) {}

    Result<std::string> run(CapabilitySet capabilities);

  private:
    Result<void> rule_add(const SeccompRule& rule);
    Result<void> call_add(const std::string& name, const SeccompRule& rule, std::uint32_t action);
    Result<std::string> exported() const;

    /// Instructions before libseccomp's: calls it does not know, and ENOSYS for those beyond the
    /// profile.
    std::vector<sock_filter> prologue() const;

    const SeccompProfile& profile_;
    Context context_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> by_number_;  // Call, action.
    std::uint32_t number_max_ = unified_number_min;
};

Result<void> ProfileCompiler::call_add(const std::string& name,
                                       const SeccompRule& rule,
                                       std::uint32_t action) {
    const auto* const found = std::find_if(std::begin(new_calls),
                                           std::end(new_calls),
                                           [&](const NewCall& call) { return call.name == name; });
    const int known = ::seccomp_syscall_resolve_name(name.c_str());
    if (found != std::end(new_calls)) {
        number_max_ = std::max(number_max_, found->number);
        const bool repeated =
            std::any_of(by_number_.begin(), by_number_.end(), [&](const auto& entry) {
                return entry.first == found->number;
            });
        if (known == __NR_SCMP_ERROR && rule.arguments.empty() && !repeated) {
            by_number_.emplace_back(found->number, action);
        }
    }
    if (known == __NR_SCMP_ERROR) {
        return ok;
    }
    number_max_ = std::max(number_max_, static_cast<std::uint32_t>(std::max(known, 0)));
    std::vector<scmp_arg_cmp> conditions;
    for (const SeccompArgument& argument : rule.arguments) {
        scmp_arg_cmp condition{};
        condition.arg = argument.index;
        condition.op = compare_value(argument.compare);
        condition.datum_a = argument.value;
        condition.datum_b = argument.value_two;
        conditions.push_back(condition);
    }
    const int added = ::seccomp_rule_add_array(
        context_.get(), action, known, static_cast<unsigned>(conditions.size()), conditions.data());
    if (added != 0 && added != -EEXIST) {
        return Error::from_errno(-added, "seccomp_rule_add", name)
            .with_kind(ErrorKind::invalid_argument);
    }
    return ok;
}

Result<void> ProfileCompiler::rule_add(const SeccompRule& rule) {
    const std::uint32_t action = action_value(rule.action, rule.errno_value);
    if (action == action_value(profile_.default_action, profile_.default_errno)) {
        return ok;  // libseccomp refuses what the default says anyway.
    }
    for (const std::string& name : rule.names) {
        TRY_VOID(call_add(name, rule, action));
    }
    return ok;
}

std::vector<sock_filter> ProfileCompiler::prologue() const {
    constexpr auto load = static_cast<std::uint16_t>(BPF_LD | BPF_W | BPF_ABS);
    constexpr auto equal = static_cast<std::uint16_t>(BPF_JMP | BPF_JEQ | BPF_K);
    constexpr auto greater = static_cast<std::uint16_t>(BPF_JMP | BPF_JGT | BPF_K);
    constexpr auto greater_equal = static_cast<std::uint16_t>(BPF_JMP | BPF_JGE | BPF_K);
    constexpr auto give = static_cast<std::uint16_t>(BPF_RET | BPF_K);
    constexpr std::uint32_t x32_bit = 0x40000000;
    // From the back, as conditional jumps are forward and at most 255 long.
    std::vector<sock_filter> body;
    for (const auto& [number, action] : by_number_) {
        body.push_back({equal, 0, 1, number});
        body.push_back({give, 0, 0, action});
    }
    if (profile_.default_action == SeccompAction::fail) {
        body.push_back({greater, 0, 1, number_max_});
        body.push_back({give, 0, 0, SECCOMP_RET_ERRNO | ENOSYS});
    }
    const auto skip = static_cast<std::uint8_t>(body.size());
    std::vector<sock_filter> code;
    code.push_back({load, 0, 0, offsetof(seccomp_data, arch)});
    // Other architectures go straight to libseccomp's part, which starts by loading arch itself.
    code.push_back({equal, 0, static_cast<std::uint8_t>(skip + 2), native_audit});
    code.push_back({load, 0, 0, offsetof(seccomp_data, nr)});
    code.push_back({greater_equal, skip, 0, x32_bit});
    code.insert(code.end(), body.begin(), body.end());
    return code;
}

Result<std::string> ProfileCompiler::exported() const {
    // libseccomp 2.5 exports to a descriptor only.
    const int raw = ::memfd_create("seccomp", MFD_CLOEXEC);
    if (raw < 0) {
        return Error::from_errno(errno, "memfd_create", "seccomp");
    }
    const Fd file(raw);
    if (const int done = ::seccomp_export_bpf(context_.get(), raw); done != 0) {
        return Error::from_errno(-done, "seccomp_export_bpf");
    }
    const off_t size = ::lseek(raw, 0, SEEK_END);
    std::string bytes(static_cast<std::size_t>(std::max<off_t>(size, 0)), '\0');
    if (::pread(raw, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return Error::from_errno(EIO, "pread", "seccomp");
    }
    return bytes;
}

Result<std::string> ProfileCompiler::run(CapabilitySet capabilities) {
    context_.reset(::seccomp_init(action_value(profile_.default_action, profile_.default_errno)));
    if (!context_) {
        return Error(ErrorKind::internal, "seccomp_init failed");
    }
    for (const std::uint32_t sibling : siblings) {
        if (const int added = ::seccomp_arch_add(context_.get(), sibling);
            added != 0 && added != -EEXIST) {
            return Error::from_errno(-added, "seccomp_arch_add");
        }
    }
    // A binary tree instead of a chain of comparisons: every system call of every container walks
    // this.
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const SeccompRule& rule : profile_.rules) {
        const bool included = rule.needs_any == 0 || (rule.needs_any & capabilities) != 0;
        if (included && (rule.excludes_any & capabilities) == 0) {
            TRY_VOID(rule_add(rule));
        }
    }
    TRY(const std::string compiled, exported());
    const std::vector<sock_filter> first = prologue();
    std::string program(reinterpret_cast<const char*>(first.data()),
                        first.size() * sizeof(sock_filter));
    program += compiled;
    if (program.size() / sizeof(sock_filter) > BPF_MAXINSNS) {
        return Error(ErrorKind::resource_exhausted, "seccomp profile has too many rules");
    }
    return program;
}

}  // namespace

Result<std::string> seccomp_compile(const SeccompProfile& profile, CapabilitySet capabilities) {
    return ProfileCompiler(profile).run(capabilities);
}

Result<std::string> seccomp_default_filter(CapabilitySet capabilities) {
    // Only what the rules ask for distinguishes two sets: a handful of entries at most in practice.
    static std::unordered_map<CapabilitySet, std::string> cache;
    CapabilitySet relevant = 0;
    for (const SeccompRule& rule : seccomp_profile_default().rules) {
        relevant |= rule.needs_any | rule.excludes_any;
    }
    const CapabilitySet key = capabilities & relevant;
    if (const auto found = cache.find(key); found != cache.end()) {
        return found->second;
    }
    TRY(std::string filter, seccomp_compile(seccomp_profile_default(), key));
    constexpr std::size_t cached_max = 64;
    if (cache.size() >= cached_max) {
        cache.clear();
    }
    cache.emplace(key, filter);
    return filter;
}

}  // namespace davit
