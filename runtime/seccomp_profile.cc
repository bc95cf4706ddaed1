#include "runtime/seccomp_profile.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <span>

#include "http/json_reader.h"

namespace davit {

namespace {

#if defined(__x86_64__)
constexpr std::string_view go_architecture = "amd64";  // Of "arches".
constexpr std::string_view own_architecture = "SCMP_ARCH_X86_64";
constexpr std::string_view sibling_architecture = "SCMP_ARCH_X86";
#else
constexpr std::string_view go_architecture = "arm64";
constexpr std::string_view own_architecture = "SCMP_ARCH_AARCH64";
constexpr std::string_view sibling_architecture = "SCMP_ARCH_ARM";
#endif

constexpr unsigned arguments_max = 6;  // Of a system call.
/// Names times conditions; a filter has 4096 instructions at most.
constexpr std::size_t alternatives_max = 1 << 16;

template <typename T>
struct Named {
    std::string_view name;
    T value;
};

constexpr std::array<Named<SeccompAction>, 8> actions{{
    {"SCMP_ACT_ALLOW", SeccompAction::allow},
    {"SCMP_ACT_ERRNO", SeccompAction::fail},
    {"SCMP_ACT_KILL", SeccompAction::kill_thread},
    {"SCMP_ACT_KILL_THREAD", SeccompAction::kill_thread},
    {"SCMP_ACT_KILL_PROCESS", SeccompAction::kill_process},
    {"SCMP_ACT_TRAP", SeccompAction::trap},
    {"SCMP_ACT_TRACE", SeccompAction::trace},
    {"SCMP_ACT_LOG", SeccompAction::log},
}};

constexpr std::array<Named<SeccompCompare>, 7> operators{{
    {"SCMP_CMP_NE", SeccompCompare::not_equal},
    {"SCMP_CMP_LT", SeccompCompare::less},
    {"SCMP_CMP_LE", SeccompCompare::less_or_equal},
    {"SCMP_CMP_EQ", SeccompCompare::equal},
    {"SCMP_CMP_GE", SeccompCompare::greater_or_equal},
    {"SCMP_CMP_GT", SeccompCompare::greater},
    {"SCMP_CMP_MASKED_EQ", SeccompCompare::masked_equal},
}};

/// TSYNC is for a process of several threads, and what loads the filter has one.
constexpr std::array<Named<unsigned>, 3> flags{{
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
}};

constexpr auto architectures = std::to_array<std::string_view>({
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_S390X",
});

Error profile_error(const std::string& message) {
    return Error(ErrorKind::invalid_argument, "invalid seccomp profile: " + message);
}

Error not_yet(const std::string& what) {
    return Error(ErrorKind::unsupported,
                 what +
                     " in a seccomp profile is not supported by davit yet: there is no agent to "
                     "be asked");
}

/// What Go's decoder would have refused.
Error undecoded(const Error& error) {
    return Error(ErrorKind::invalid_argument,
                 "Decoding seccomp profile failed: " + error.message());
}

template <typename T>
Result<T> decoded(Result<T> value) {
    return value ? std::move(value) : Result<T>(undecoded(value.error()));
}

/// kind: "action", as in "string X is not a valid action for seccomp".
template <typename T>
Result<T> value_of(std::span<const Named<T>> known,
                   std::string_view name,
                   std::string_view kind,
                   const std::string& place) {
    const auto found = std::ranges::find(known, name, &Named<T>::name);
    if (found == known.end()) {
        constexpr std::size_t shown_max = 80;
        return profile_error(place + ": string " + std::string(name.substr(0, shown_max)) +
                             " is not a valid " + std::string(kind) + " for seccomp");
    }
    return found->value;
}

Result<SeccompAction> action_of(const std::string& name, const std::string& place) {
    if (name == "SCMP_ACT_NOTIFY") {
        return not_yet(name);
    }
    return value_of(std::span<const Named<SeccompAction>>(actions), name, "action", place);
}

/// The value of ERRNO, and what TRACE tells. The kernel takes 16 bits of it.
Result<int> errno_of(const JsonValue& json, std::string_view key) {
    const JsonValue value = json.member(key);
    if (!value.present()) {
        return EPERM;
    }
    TRY(const std::uint64_t number, value.as_uint64());
    return static_cast<int>(number & SECCOMP_RET_DATA);
}

Result<unsigned> version_part(std::string_view text, std::string_view whole) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    constexpr unsigned part_max = 255;
    if (error != std::errc{} || end != text.data() + text.size() || number > part_max) {
        return Error(ErrorKind::invalid_argument,
                     "invalid kernel version: \"" + std::string(whole) +
                         "\", expected \"<kernel>.<major>\"");
    }
    return number;
}

/// "4.8", and nothing else. Follows: moby profiles/seccomp/kernel_linux.go, seccomp.go.
Result<KernelVersion> version_of(const std::string& text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    KernelVersion version;
    TRY(version.major, version_part(std::string_view(text).substr(0, dot), text));
    TRY(version.minor,
        version_part(std::string_view(text).substr(std::min(dot + 1, text.size())), text));
    if (version == KernelVersion{}) {
        return Error(ErrorKind::invalid_argument,
                     "invalid kernel version: \"" + text + "\", version cannot be 0.0");
    }
    return version;
}

/// "includes" or "excludes" of a call: what it names, and what of that holds.
struct Condition {
    std::vector<std::string> arches;
    std::vector<std::string> capabilities;
    std::optional<KernelVersion> kernel_min;

    static Result<Condition> read(const JsonValue& json);

    bool names_architecture() const {
        return std::ranges::find(arches, go_architecture) != arches.end();
    }

    /// A name that is none is no capability that a container could have.
    static bool has(const SeccompTarget& target, const std::string& name) {
        constexpr unsigned numbers = 64;
        for (unsigned number = 0; number < numbers; ++number) {
            if (capability_name(number) == name) {
                return (target.capabilities & capability_bit(number)) != 0;
            }
        }
        return false;
    }

    /// All of it holds: what an "includes" asks for.
    bool holds(const SeccompTarget& target) const {
        return (arches.empty() || names_architecture()) &&
               std::ranges::all_of(capabilities,
                                   [&](const auto& name) { return has(target, name); }) &&
               (!kernel_min || target.kernel >= *kernel_min);
    }

    /// Any of it holds: enough for an "excludes".
    bool touches(const SeccompTarget& target) const {
        return names_architecture() ||
               std::ranges::any_of(capabilities,
                                   [&](const auto& name) { return has(target, name); }) ||
               (kernel_min && target.kernel >= *kernel_min);
    }
};

Result<Condition> Condition::read(const JsonValue& json) {
    Condition condition;
    TRY(condition.arches, json.strings("arches"));
    TRY(condition.capabilities, json.strings("caps"));
    TRY(const std::string kernel, json.string_or("minKernel", ""));
    if (!kernel.empty()) {
        TRY(condition.kernel_min, version_of(kernel));
    }
    return condition;
}

/// An entry of "syscalls", its action and operators still as text: of those that are not for the
/// target they may be from the future.
struct Call {
    std::vector<std::string> names;
    std::string name;  // The old form.
    std::string action;
    int errno_value = EPERM;
    std::vector<std::pair<SeccompArgument, std::string>> arguments;  // With their operators.
    bool applies = false;

    static Result<Call> read(const JsonValue& json, const SeccompTarget& target);
};

Result<std::pair<SeccompArgument, std::string>> argument_read(const JsonValue& json) {
    SeccompArgument argument;
    TRY(const std::uint64_t index, json.uint64_or("index", 0));
    argument.index = static_cast<unsigned>(std::min<std::uint64_t>(index, arguments_max));
    TRY(argument.value, json.uint64_or("value", 0));
    TRY(argument.value_two, json.uint64_or("valueTwo", 0));
    TRY(std::string compare, json.string_or("op", ""));
    return std::pair(argument, std::move(compare));
}

Result<Call> Call::read(const JsonValue& json, const SeccompTarget& target) {
    Call call;
    TRY(call.names, json.strings("names"));
    TRY(call.name, json.string_or("name", ""));
    TRY(call.action, json.string_or("action", ""));
    TRY([[maybe_unused]] const std::string comment, json.string_or("comment", ""));
    TRY(call.errno_value, errno_of(json, "errnoRet"));
    TRY(const JsonValue arguments, json.array("args"));
    TRY(const std::vector<JsonValue> items, arguments.as_array());
    for (const JsonValue& item : items) {
        TRY(auto argument, argument_read(item));
        call.arguments.push_back(std::move(argument));
    }
    TRY(const JsonValue includes, json.object("includes"));
    TRY(const JsonValue excludes, json.object("excludes"));
    TRY(const Condition wanted, Condition::read(includes));
    TRY(const Condition unwanted, Condition::read(excludes));
    call.applies = wanted.holds(target) && !unwanted.touches(target);
    return call;
}

/// Several conditions on one argument are alternatives, else all of them must hold.
void rules_add(std::vector<SeccompRule>& rules, SeccompRule rule) {
    std::array<unsigned, arguments_max> counts{};
    const bool alternatives = std::ranges::any_of(
        rule.arguments,
        [&](const SeccompArgument& argument) { return ++counts[argument.index] > 1; });
    if (!alternatives) {
        rules.push_back(std::move(rule));
        return;
    }
    for (const SeccompArgument& argument : rule.arguments) {
        SeccompRule alone = rule;
        alone.arguments = {argument};
        rules.push_back(std::move(alone));
    }
}

Result<void> call_add(std::vector<SeccompRule>& rules, Call call, const std::string& place) {
    SeccompRule rule;
    TRY(rule.action, action_of(call.action, place));
    rule.errno_value = call.errno_value;
    if (!call.name.empty()) {
        call.names.push_back(std::move(call.name));
    }
    for (const std::string& name : call.names) {
        if (name.empty()) {
            return profile_error(place + ": empty string is not a valid syscall");
        }
    }
    if (call.names.empty()) {
        return ok;
    }
    for (auto& [argument, compare] : call.arguments) {
        TRY(argument.compare,
            value_of(
                std::span<const Named<SeccompCompare>>(operators), compare, "operator", place));
        if (argument.index >= arguments_max) {
            return profile_error(place + ": a system call has six arguments, index 0 to 5");
        }
        rule.arguments.push_back(argument);
    }
    rule.names = std::move(call.names);
    rules_add(rules, std::move(rule));
    return ok;
}

Result<std::vector<Call>> calls_read(const JsonValue& root, const SeccompTarget& target) {
    TRY(const JsonValue array, root.array("syscalls"));
    TRY(const std::vector<JsonValue> items, array.as_array());
    std::vector<Call> calls;
    for (const JsonValue& item : items) {
        TRY(Call call, Call::read(item, target));
        calls.push_back(std::move(call));
    }
    return calls;
}

/// Those that are for the target.
Result<void> calls_add(std::vector<SeccompRule>& rules, std::vector<Call> calls) {
    std::size_t alternatives = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        Call& call = calls[i];
        if (!call.name.empty() && !call.names.empty()) {
            return Error(ErrorKind::invalid_argument,
                         "both 'name' and 'names' are specified in the seccomp profile, use either "
                         "'name' or 'names'");
        }
        alternatives += call.names.size() * std::max<std::size_t>(call.arguments.size(), 1);
        if (alternatives > alternatives_max) {
            return Error(ErrorKind::resource_exhausted, "seccomp profile has too many rules");
        }
        if (call.applies) {
            TRY_VOID(call_add(rules, std::move(call), "syscalls[" + std::to_string(i) + "]"));
        }
    }
    return ok;
}

bool is_default(const SeccompRule& rule, const SeccompProfile& profile) {
    const bool has_value =
        rule.action == SeccompAction::fail || rule.action == SeccompAction::trace;
    return rule.action == profile.default_action &&
           (!has_value || rule.errno_value == profile.default_errno);
}

/// As seccomp_profile_parse() promises. What does the default anyway is kept last, since its names
/// tell how new the profile is.
void rules_settle(SeccompProfile& profile) {
    std::map<std::string, std::size_t> decided;  // By the rule of this number alone.
    std::vector<SeccompRule> rules = std::move(profile.rules);
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (rules[i].arguments.empty() && !is_default(rules[i], profile)) {
            for (const std::string& name : rules[i].names) {
                decided.emplace(name, i);
            }
        }
    }
    SeccompRule rest;
    rest.action = profile.default_action;
    rest.errno_value = profile.default_errno;
    profile.rules.clear();
    for (std::size_t i = 0; i < rules.size(); ++i) {
        std::erase_if(rules[i].names, [&](const std::string& name) {
            const auto found = decided.find(name);
            return found != decided.end() && found->second != i;
        });
        if (is_default(rules[i], profile)) {
            std::ranges::move(rules[i].names, std::back_inserter(rest.names));
        } else if (!rules[i].names.empty()) {
            profile.rules.push_back(std::move(rules[i]));
        }
    }
    if (!rest.names.empty()) {
        profile.rules.push_back(std::move(rest));
    }
}

Result<void> architecture_check(const std::string& name) {
    if (std::ranges::find(architectures, name) == architectures.end()) {
        return profile_error("string " + name + " is not a valid arch for seccomp");
    }
    return ok;
}

/// Which architectures a profile is for, besides this one. Processes of those that this kernel
/// cannot run, and x32, whose calls fail whatever a profile says, need no rules.
Result<void> architectures_read(const JsonValue& root, SeccompProfile& profile) {
    TRY(std::vector<std::string> named, decoded(root.strings("architectures")));
    TRY(const JsonValue map, decoded(root.array("archMap")));
    TRY(const std::vector<JsonValue> entries, decoded(map.as_array()));
    if (!named.empty() && !entries.empty()) {
        return Error(ErrorKind::invalid_argument,
                     "both 'architectures' and 'archMap' are specified in the seccomp profile, use "
                     "either 'architectures' or 'archMap'");
    }
    bool found = false;
    for (const JsonValue& entry : entries) {
        TRY(const std::string name, decoded(entry.string_or("architecture", "")));
        TRY(std::vector<std::string> below, decoded(entry.strings("subArchitectures")));
        if (name == own_architecture && !found) {
            found = true;
            named = std::move(below);
        }
    }
    for (const std::string& name : named) {
        TRY_VOID(architecture_check(name));
    }
    profile.has_sibling = std::ranges::find(named, sibling_architecture) != named.end();
    return ok;
}

/// None given at all: a process of the container need not run without speculation.
Result<void> flags_read(const JsonValue& root, SeccompProfile& profile) {
    const JsonValue given = root.member("flags");
    if (!given.present()) {
        profile.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        return ok;
    }
    TRY(const std::vector<std::string> names, decoded(given.as_strings()));
    for (const std::string& name : names) {
        const auto found = std::ranges::find(flags, name, &Named<unsigned>::name);
        if (found == flags.end()) {
            return profile_error("seccomp flag " + name + " is not known");
        }
        profile.flags |= found->value;
    }
    return ok;
}

Result<void> listener_check(const JsonValue& root) {
    for (const char* key : {"listenerPath", "listenerMetadata"}) {
        TRY(const std::string text, decoded(root.string_or(key, "")));
        if (!text.empty()) {
            return not_yet(key);
        }
    }
    return ok;
}

}  // namespace

KernelVersion kernel_version_parse(std::string_view release) {
    KernelVersion version;
    const char* const end = release.data() + release.size();
    const auto [dot, error] = std::from_chars(release.data(), end, version.major);
    if (error == std::errc{} && dot != end && *dot == '.') {
        std::from_chars(dot + 1, end, version.minor);
    }
    return version;
}

Result<std::optional<SeccompProfile>> seccomp_profile_parse(std::string_view json,
                                                            const SeccompTarget& target) {
    if (json.size() > seccomp_profile_bytes_max) {
        return Error(ErrorKind::resource_exhausted, "a seccomp profile has at most 1 MiB");
    }
    TRY(const JsonDocument document, decoded(JsonDocument::parse(json)));
    const JsonValue root = document.root();
    if (const auto members = root.as_object(); !members) {
        return undecoded(members.error());
    }
    // All of it is decoded before anything is looked at, as Go does.
    SeccompProfile profile;
    TRY(const std::string default_action, decoded(root.string_or("defaultAction", "")));
    TRY(profile.default_errno, decoded(errno_of(root, "defaultErrnoRet")));
    TRY(std::vector<Call> calls, decoded(calls_read(root, target)));
    if (default_action.empty() && calls.empty()) {
        return std::optional<SeccompProfile>();
    }
    TRY_VOID(architectures_read(root, profile));
    TRY_VOID(listener_check(root));
    TRY_VOID(flags_read(root, profile));
    TRY(profile.default_action, action_of(default_action, "defaultAction"));
    TRY_VOID(calls_add(profile.rules, std::move(calls)));
    rules_settle(profile);
    return std::optional(std::move(profile));
}

Result<SeccompFilter> seccomp_profile_compile(std::string_view json, const SeccompTarget& target) {
    TRY(const std::optional<SeccompProfile> profile, seccomp_profile_parse(json, target));
    SeccompFilter filter;
    if (profile) {
        // The capabilities were asked about already.
        TRY(filter.program, seccomp_compile(*profile, 0));
        filter.flags = profile->flags;
    }
    return filter;
}

}  // namespace davit
