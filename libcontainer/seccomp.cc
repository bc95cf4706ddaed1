#include "libcontainer/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <map>
#include <optional>
#include <unordered_map>

// libseccomp knows the calls' numbers; its code generator is not used: it makes one comparison per
// call (1,259 instructions for the default profile, 0.3 ms to load in every start, 13 ms to
// compile). Runs of calls with the same action, searched by halves, come to a fifth of that.

namespace davit {

namespace {

using Code = std::vector<sock_filter>;

/// Calls that libseccomp's tables do not give: those newer than its 2.5.4 (Debian 12, kernel 5.17),
/// numbered alike everywhere; can go when the oldest supported libseccomp is 2.6.
struct NumberedCall {
    std::string_view name;
    std::uint32_t number;
};

constexpr NumberedCall new_calls[] = {
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

#if defined(__x86_64__)
/// i386's own numbers of calls that libseccomp knows only behind socketcall and ipc there.
constexpr NumberedCall multiplexed_calls[] = {
    {"socket", 359},      {"socketpair", 360},  {"bind", 361},       {"connect", 362},
    {"listen", 363},      {"accept4", 364},     {"getsockopt", 365}, {"setsockopt", 366},
    {"getsockname", 367}, {"getpeername", 368}, {"sendto", 369},     {"sendmsg", 370},
    {"recvfrom", 371},    {"recvmsg", 372},     {"shutdown", 373},   {"recvmmsg", 337},
    {"sendmmsg", 345},    {"semget", 393},      {"semctl", 394},     {"shmget", 395},
    {"shmctl", 396},      {"shmat", 397},       {"shmdt", 398},      {"msgget", 399},
    {"msgsnd", 400},      {"msgrcv", 401},      {"msgctl", 402},
};
#else
constexpr std::span<const NumberedCall> multiplexed_calls;
#endif

struct Architecture {
    std::uint32_t audit;
    std::uint32_t token;  // libseccomp's.
    bool is_64_bit;
    bool has_x32;
};

#if defined(__x86_64__)
constexpr Architecture architectures[] = {{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, true, true},
                                          {AUDIT_ARCH_I386, SCMP_ARCH_X86, false, false}};
#else
constexpr Architecture architectures[] = {{AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, true, false},
                                          {AUDIT_ARCH_ARM, SCMP_ARCH_ARM, false, false}};
#endif

constexpr std::uint16_t op_load = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t op_and = BPF_ALU | BPF_AND | BPF_K;
constexpr std::uint16_t op_jump = BPF_JMP | BPF_JA;
constexpr std::uint16_t op_equal = BPF_JMP | BPF_JEQ | BPF_K;
constexpr std::uint16_t op_greater = BPF_JMP | BPF_JGT | BPF_K;
constexpr std::uint16_t op_greater_equal = BPF_JMP | BPF_JGE | BPF_K;
constexpr std::uint16_t op_return = BPF_RET | BPF_K;
constexpr std::size_t jump_max = 255;

sock_filter statement(std::uint16_t operation, std::uint32_t value) {
    return {operation, 0, 0, value};
}

std::uint32_t action_value(SeccompAction action, int errno_value) {
    const auto data = static_cast<std::uint32_t>(errno_value) & SECCOMP_RET_DATA;
    switch (action) {
        case SeccompAction::allow:
            return SECCOMP_RET_ALLOW;
        case SeccompAction::fail:
            return SECCOMP_RET_ERRNO | data;
        case SeccompAction::kill_process:
            return SECCOMP_RET_KILL_PROCESS;
        case SeccompAction::kill_thread:
            return SECCOMP_RET_KILL_THREAD;
        case SeccompAction::trap:
            return SECCOMP_RET_TRAP;
        case SeccompAction::trace:
            return SECCOMP_RET_TRACE | data;
        case SeccompAction::log:
            return SECCOMP_RET_LOG;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

/// The call is made. A tracer knows by itself what to do with new ones.
/// Follows: runc libcontainer/seccomp/patchbpf isAllowAction().
bool is_permissive(SeccompAction action) {
    return action == SeccompAction::allow || action == SeccompAction::log ||
           action == SeccompAction::trace;
}

/// A conditional jump whose targets are pass (the next condition) or miss (the next alternative),
/// known only when the alternative is complete.
enum class Target : std::uint8_t { next, pass, miss };

/// The code of one alternative: conditions, then the action; falls through to what follows on a
/// miss.
class Alternative {
  public:
    explicit Alternative(bool is_64_bit) : is_64_bit_(is_64_bit) {}

    void condition(const SeccompArgument& argument);
    Code finish(std::uint32_t action);

  private:
    struct Jump {
        std::size_t at;
        Target on_true;
        Target on_false;
        std::size_t condition;
    };

    void load(unsigned index, bool high) {
        constexpr std::size_t half = sizeof(std::uint32_t);
        const std::size_t offset = offsetof(seccomp_data, args) + index * sizeof(std::uint64_t);
        code_.push_back(statement(op_load, static_cast<std::uint32_t>(offset + (high ? half : 0))));
    }

    void jump(std::uint16_t operation, std::uint64_t value, Target on_true, Target on_false) {
        jumps_.push_back({code_.size(), on_true, on_false, condition_ends_.size()});
        code_.push_back(statement(operation, static_cast<std::uint32_t>(value)));
    }

    void equal(const SeccompArgument& argument, std::uint64_t mask, std::uint64_t value);
    void ordered(const SeccompArgument& argument);

    bool is_64_bit_;
    Code code_;
    std::vector<Jump> jumps_;
    std::vector<std::size_t> condition_ends_;
};

void Alternative::equal(const SeccompArgument& argument, std::uint64_t mask, std::uint64_t value) {
    const auto half = [&](bool high) {
        const auto mask_half = static_cast<std::uint32_t>(high ? mask >> 32 : mask);
        load(argument.index, high);
        if (mask_half != 0xffffffff) {
            code_.push_back(statement(op_and, mask_half));
        }
        jump(
            op_equal, high ? value >> 32 : value, high ? Target::next : Target::pass, Target::miss);
    };
    if (is_64_bit_ && ((mask >> 32) != 0 || (value >> 32) != 0)) {
        half(true);
    }
    half(false);
}

void Alternative::ordered(const SeccompArgument& argument) {
    const std::uint64_t value = argument.value;
    const bool less = argument.compare == SeccompCompare::less ||
                      argument.compare == SeccompCompare::less_or_equal;
    // a < v is "not a >= v", a <= v is "not a > v".
    const Target above = less ? Target::miss : Target::pass;
    const Target below = less ? Target::pass : Target::miss;
    const bool strict = argument.compare == SeccompCompare::greater ||
                        argument.compare == SeccompCompare::less_or_equal;
    if (is_64_bit_) {
        load(argument.index, true);
        jump(op_greater, value >> 32, above, Target::next);
        jump(op_equal, value >> 32, Target::next, below);
    }
    load(argument.index, false);
    jump(strict ? op_greater : op_greater_equal, value, above, below);
}

void Alternative::condition(const SeccompArgument& argument) {
    switch (argument.compare) {
        case SeccompCompare::equal:
            equal(argument, ~std::uint64_t{0}, argument.value);
            break;
        case SeccompCompare::masked_equal:
            equal(argument, argument.value, argument.value_two);
            break;
        case SeccompCompare::not_equal:
            if (is_64_bit_) {
                load(argument.index, true);
                jump(op_equal, argument.value >> 32, Target::next, Target::pass);
            }
            load(argument.index, false);
            jump(op_equal, argument.value, Target::miss, Target::pass);
            break;
        case SeccompCompare::less:
        case SeccompCompare::less_or_equal:
        case SeccompCompare::greater_or_equal:
        case SeccompCompare::greater:
            ordered(argument);
            break;
    }
    condition_ends_.push_back(code_.size());
}

Code Alternative::finish(std::uint32_t action) {
    code_.push_back(statement(op_return, action));
    for (const Jump& jump : jumps_) {
        const auto distance = [&](Target target) {
            const std::size_t to = target == Target::next   ? jump.at + 1
                                   : target == Target::pass ? condition_ends_[jump.condition]
                                                            : code_.size();
            assert(to - jump.at - 1 <= jump_max);  // Six arguments of six instructions at most.
            return static_cast<std::uint8_t>(to - jump.at - 1);
        };
        code_[jump.at].jt = distance(jump.on_true);
        code_[jump.at].jf = distance(jump.on_false);
    }
    return std::move(code_);
}

/// From `first` up to the next run's first: what happens to these calls.
struct Run {
    std::uint32_t first;
    Code code;
};

/// A search by halves over runs, written from its end to its beginning, so that a jump's target is
/// known when the jump is written and all runs can share the few different returns.
class Search {
  public:
    explicit Search(const std::vector<Run>& runs) : runs_(runs) {}

    Code write() {
        [[maybe_unused]] const std::size_t entry = write(0, runs_.size());
        assert(entry == reversed_.size());  // The first of a program is written last.
        return Code(reversed_.rbegin(), reversed_.rend());
    }

  private:
    /// An instruction's place is its number counted from the end, from one.
    std::size_t write(std::size_t begin, std::size_t end) {
        if (end - begin == 1) {
            return leaf(runs_[begin].code);
        }
        const std::size_t middle = begin + (end - begin) / 2;
        std::size_t right = write(middle, end);
        std::size_t left = write(begin, middle);
        right = reachable(right);
        left = reachable(left);
        reversed_.push_back({op_greater_equal, offset(right), offset(left), runs_[middle].first});
        return reversed_.size();
    }

    std::size_t leaf(const Code& code) {
        if (code.size() == 1) {
            const auto found = returns_.find(code[0].k);
            if (found != returns_.end() && reversed_.size() - found->second < jump_max / 2) {
                return found->second;
            }
        }
        reversed_.insert(reversed_.end(), code.rbegin(), code.rend());
        if (code.size() == 1) {
            returns_[code[0].k] = reversed_.size();
        }
        return reversed_.size();
    }

    /// The place itself, or that of a jump to it if it is too far for a conditional jump written
    /// soon.
    std::size_t reachable(std::size_t place) {
        if (reversed_.size() - place < jump_max - 2) {
            return place;
        }
        jump_push(place);
        return reversed_.size();
    }

    void jump_push(std::size_t place) {
        reversed_.push_back(
            statement(op_jump, static_cast<std::uint32_t>(reversed_.size() - place)));
    }

    /// From the instruction that is written next.
    std::uint8_t offset(std::size_t place) const {
        assert(reversed_.size() - place <= jump_max);
        return static_cast<std::uint8_t>(reversed_.size() - place);
    }

    const std::vector<Run>& runs_;
    Code reversed_;
    std::map<std::uint32_t, std::size_t> returns_;  // Where the last one with this value is.
};

class ArchitectureCompiler {
  public:
    ArchitectureCompiler(const SeccompProfile& profile,
                         const Architecture& architecture,
                         CapabilitySet capabilities)
        : profile_(profile), architecture_(architecture), capabilities_(capabilities) {}

    /// The code for a call of this architecture; every path returns.
    Code run();

  private:
    /// This architecture's number of a call; nothing if it has none.
    std::optional<std::uint32_t> number(const std::string& name) const;

    std::vector<Run> runs() const;
    Code decision(const std::vector<const SeccompRule*>& rules) const;

    const SeccompProfile& profile_;
    const Architecture& architecture_;
    CapabilitySet capabilities_;
    std::map<std::uint32_t, std::vector<const SeccompRule*>> calls_;
};

std::optional<std::uint32_t> ArchitectureCompiler::number(const std::string& name) const {
    const int known = ::seccomp_syscall_resolve_name_arch(architecture_.token, name.c_str());
    if (known >= 0) {
        return static_cast<std::uint32_t>(known);
    }
    const auto named = [&](const NumberedCall& call) { return call.name == name; };
    if (architecture_.token == SCMP_ARCH_X86) {
        const auto found =
            std::find_if(std::begin(multiplexed_calls), std::end(multiplexed_calls), named);
        if (found != std::end(multiplexed_calls)) {
            return found->number;
        }
    }
    const auto* const found = std::find_if(std::begin(new_calls), std::end(new_calls), named);
    if (known == __NR_SCMP_ERROR && found != std::end(new_calls)) {
        return found->number;
    }
    return std::nullopt;
}

Code ArchitectureCompiler::decision(const std::vector<const SeccompRule*>& rules) const {
    Code code;
    for (const SeccompRule* rule : rules) {
        Alternative alternative(architecture_.is_64_bit);
        for (const SeccompArgument& argument : rule->arguments) {
            alternative.condition(argument);
        }
        const Code made = alternative.finish(action_value(rule->action, rule->errno_value));
        code.insert(code.end(), made.begin(), made.end());
        if (rule->arguments.empty()) {
            return code;
        }
    }
    code.push_back(
        statement(op_return, action_value(profile_.default_action, profile_.default_errno)));
    return code;
}

std::vector<Run> ArchitectureCompiler::runs() const {
    const std::uint32_t default_action =
        action_value(profile_.default_action, profile_.default_errno);
    const Code otherwise = {statement(op_return, default_action)};
    std::vector<Run> runs;
    const auto same = [](const Code& a, const Code& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
            return x.code == y.code && x.jt == y.jt && x.jf == y.jf && x.k == y.k;
        });
    };
    const auto append = [&](std::uint32_t first, Code code) {
        if (runs.empty() || !same(runs.back().code, code)) {
            runs.push_back({first, std::move(code)});
        }
    };
    std::uint32_t next = 0;
    for (const auto& [number, rules] : calls_) {
        if (number > next) {
            append(next, otherwise);
        }
        append(number, decision(rules));
        next = number + 1;
    }
    append(next,
           is_permissive(profile_.default_action)
               ? otherwise
               : Code{statement(op_return, SECCOMP_RET_ERRNO | ENOSYS)});
    return runs;
}

Code ArchitectureCompiler::run() {
    for (const SeccompRule& rule : profile_.rules) {
        if ((rule.needs_any != 0 && (rule.needs_any & capabilities_) == 0) ||
            (rule.excludes_any & capabilities_) != 0) {
            continue;
        }
        for (const std::string& name : rule.names) {
            if (const auto known = number(name)) {
                calls_[*known].push_back(&rule);
            }
        }
    }
    Code code;
    code.push_back(statement(op_load, offsetof(seccomp_data, nr)));
    if (architecture_.has_x32) {
        constexpr std::uint32_t x32_bit = 0x40000000;
        code.push_back({op_greater_equal, 0, 1, x32_bit});
        code.push_back(statement(op_return, SECCOMP_RET_ERRNO | ENOSYS));
    }
    const std::vector<Run> all = runs();
    const Code found = Search(all).write();
    code.insert(code.end(), found.begin(), found.end());
    return code;
}

}  // namespace

Result<std::string> seccomp_compile(const SeccompProfile& profile, CapabilitySet capabilities) {
    for (const SeccompRule& rule : profile.rules) {
        for (const SeccompArgument& argument : rule.arguments) {
            constexpr unsigned arguments_max = 6;
            if (argument.index >= arguments_max || rule.arguments.size() > arguments_max) {
                return Error(
                    ErrorKind::invalid_argument,
                    "seccomp rule for " + rule.names.front() + ": a system call has six arguments");
            }
        }
    }
    Code program;
    program.push_back(statement(op_load, offsetof(seccomp_data, arch)));
    for (const Architecture& architecture : architectures) {
        if (!architecture.is_64_bit && !profile.has_sibling) {
            continue;
        }
        const Code code = ArchitectureCompiler(profile, architecture, capabilities).run();
        program.push_back({op_equal, 1, 0, architecture.audit});
        program.push_back(statement(op_jump, static_cast<std::uint32_t>(code.size())));
        program.insert(program.end(), code.begin(), code.end());
    }
    program.push_back(statement(op_return, SECCOMP_RET_KILL_PROCESS));
    if (program.size() > BPF_MAXINSNS) {
        return Error(ErrorKind::resource_exhausted, "seccomp profile has too many rules");
    }
    return std::string(reinterpret_cast<const char*>(program.data()),
                       program.size() * sizeof(sock_filter));
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
