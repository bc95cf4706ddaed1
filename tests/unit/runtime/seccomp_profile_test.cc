// Goal: a profile of Docker's means what it means to Docker and runc. Method: profiles of one point
// each, compiled, asked about calls; libseccomp as the judge of rules for the same call.
#include "runtime/seccomp_profile.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <random>

#include "reactor/base/fd.h"
#include "tests/unit/libcontainer/seccomp_evaluate.h"
#include "tests/unit/runtime/runtime_support.h"

using namespace davit;
using namespace davit::test;

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t sibling = AUDIT_ARCH_I386;
constexpr const char* own_name = "SCMP_ARCH_X86_64";
constexpr const char* sibling_name = "SCMP_ARCH_X86";
constexpr const char* own_go_name = "amd64";
#else
constexpr std::uint32_t sibling = AUDIT_ARCH_ARM;
constexpr const char* own_name = "SCMP_ARCH_AARCH64";
constexpr const char* sibling_name = "SCMP_ARCH_ARM";
constexpr const char* own_go_name = "arm64";
#endif

constexpr std::uint32_t allow_value = SECCOMP_RET_ALLOW;
constexpr std::uint32_t eperm_value = SECCOMP_RET_ERRNO | EPERM;

SeccompTarget target_of(CapabilitySet capabilities = 0) {
    return {capabilities, {6, 1}};
}

SeccompFilter compiled(const std::string& json, const SeccompTarget& target = target_of()) {
    auto filter = seccomp_profile_compile(json, target);
    INFO(json);
    INFO(failure(filter));
    REQUIRE(filter);
    return *std::move(filter);
}

/// What a profile of these "syscalls" says to getpid, everything else being refused.
std::uint32_t getpid_by(const std::string& calls,
                        const SeccompTarget& target = target_of(),
                        std::uint64_t first = 0) {
    const std::string json = R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["mseal"],)"
                             R"("action":"SCMP_ACT_ALLOW"},)" +
                             calls + "]}";
    return decide(compiled(json, target).program, SYS_getpid, first);
}

std::string refusal(const std::string& json) {
    const auto filter = seccomp_profile_compile(json, target_of());
    REQUIRE_FALSE(filter);
    return failure(filter);
}

std::string with_call(const std::string& members) {
    return R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{)" + members + "}]}";
}

}  // namespace

TEST_CASE("every action is the kernel's", "[container][seccomp]") {
    const auto action = [](const std::string& name, const std::string& more = "") {
        return getpid_by(R"({"names":["getpid"],"action":"SCMP_ACT_)" + name + "\"" + more + "}");
    };
    CHECK(action("ALLOW") == allow_value);
    CHECK(action("ERRNO") == eperm_value);
    CHECK(action("ERRNO", R"(,"errnoRet":38)") == (SECCOMP_RET_ERRNO | ENOSYS));
    CHECK(action("ERRNO", R"(,"errnoRet":0)") == SECCOMP_RET_ERRNO);
    CHECK(action("KILL") == SECCOMP_RET_KILL_THREAD);
    CHECK(action("KILL_THREAD") == SECCOMP_RET_KILL_THREAD);
    CHECK(action("KILL_PROCESS") == SECCOMP_RET_KILL_PROCESS);
    CHECK(action("TRAP") == SECCOMP_RET_TRAP);
    CHECK(action("TRACE", R"(,"errnoRet":77)") == (SECCOMP_RET_TRACE | 77));
    CHECK(action("TRACE") == (SECCOMP_RET_TRACE | EPERM));
    CHECK(action("LOG") == SECCOMP_RET_LOG);
}

TEST_CASE("the default action is for what is not named", "[container][seccomp]") {
    const auto program =
        compiled(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":11,"syscalls":[)"
                 R"({"names":["read","mseal"],"action":"SCMP_ACT_ALLOW"},)"
                 R"({"name":"write","action":"SCMP_ACT_ALLOW","comment":"the old form"}]})")
            .program;
    CHECK(decide(program, SYS_read) == allow_value);
    CHECK(decide(program, SYS_write) == allow_value);
    CHECK(decide(program, SYS_getpid) == (SECCOMP_RET_ERRNO | 11));
    CHECK(decide(program, 1000) == (SECCOMP_RET_ERRNO | ENOSYS));  // Newer than the profile.
    const auto killing = compiled(R"({"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[)"
                                  R"({"names":["mseal"],"action":"SCMP_ACT_ALLOW"}]})");
    CHECK(decide(killing.program, SYS_read) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(killing.program, 1000) == (SECCOMP_RET_ERRNO | ENOSYS));
    const auto allowing = compiled(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)"
                                   R"({"names":["read"],"action":"SCMP_ACT_ERRNO"}]})");
    CHECK(decide(allowing.program, SYS_read) == eperm_value);
    CHECK(decide(allowing.program, 1000) == allow_value);
}

TEST_CASE("a profile that says nothing is none", "[container][seccomp]") {
    CHECK(compiled("{}").program.empty());
    CHECK(compiled(R"({"syscalls":[],"archMap":null})").program.empty());
    CHECK_FALSE(compiled(R"({"defaultAction":"SCMP_ACT_ALLOW"})").program.empty());
}

TEST_CASE("names that nobody knows are ignored", "[container][seccomp]") {
    CHECK(getpid_by(R"({"names":["no_such_call","getpid"],"action":"SCMP_ACT_ALLOW"})") ==
          allow_value);
}

TEST_CASE("conditions on arguments", "[container][seccomp]") {
    const auto decided = [](const std::string& arguments, std::uint64_t first) {
        return getpid_by(
                   R"({"names":["getpid"],"action":"SCMP_ACT_ALLOW","args":[)" + arguments + "]}",
                   target_of(),
                   first) == allow_value;
    };

    struct Case {
        const char* op;
        bool below, same, above;
    };

    for (const Case& c : {Case{"NE", true, false, true},
                          Case{"LT", true, false, false},
                          Case{"LE", true, true, false},
                          Case{"EQ", false, true, false},
                          Case{"GE", false, true, true},
                          Case{"GT", false, false, true}}) {
        const std::string one =
            std::string(R"({"index":0,"value":18446744073709551614,"op":"SCMP_CMP_)") + c.op +
            "\"}";
        INFO(one);
        CHECK(decided(one, ~std::uint64_t{2}) == c.below);
        CHECK(decided(one, ~std::uint64_t{1}) == c.same);
        CHECK(decided(one, ~std::uint64_t{0}) == c.above);
    }
    const std::string masked = R"({"index":0,"value":12,"valueTwo":4,"op":"SCMP_CMP_MASKED_EQ"})";
    CHECK(decided(masked, 5));
    CHECK_FALSE(decided(masked, 13));
    // Of two arguments both, of one argument either.
    const std::string both =
        R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":1,"op":"SCMP_CMP_EQ"})";
    CHECK_FALSE(decided(both, 1));
    const std::string either =
        R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":2,"op":"SCMP_CMP_EQ"})";
    CHECK(decided(either, 1));
    CHECK(decided(either, 2));
    CHECK_FALSE(decided(either, 3));
}

TEST_CASE("includes wants all, excludes any", "[container][seccomp]") {
    const CapabilitySet admin = capability_bit(CAP_SYS_ADMIN);
    const CapabilitySet boot = capability_bit(CAP_SYS_BOOT);
    const auto with = [](const std::string& filter, CapabilitySet capabilities) {
        return getpid_by(R"({"names":["getpid"],"action":"SCMP_ACT_ALLOW",)" + filter + "}",
                         target_of(capabilities)) == allow_value;
    };
    const std::string both = R"("includes":{"caps":["CAP_SYS_ADMIN","CAP_SYS_BOOT"]})";
    CHECK(with(both, admin | boot));
    CHECK_FALSE(with(both, admin));
    CHECK_FALSE(with(R"("includes":{"caps":["CAP_NONE_SUCH"]})", ~CapabilitySet{0}));
    const std::string neither = R"("excludes":{"caps":["CAP_SYS_ADMIN","CAP_SYS_BOOT"]})";
    CHECK(with(neither, 0));
    CHECK_FALSE(with(neither, boot));
    const std::string own = std::string("\"arches\":[\"s390x\",\"") + own_go_name + "\"]";
    CHECK(with("\"includes\":{" + own + "}", 0));
    CHECK_FALSE(with(R"("includes":{"arches":["s390x"]})", 0));
    CHECK_FALSE(with("\"excludes\":{" + own + "}", 0));
    CHECK(with(R"("excludes":{"arches":["s390x"]})", 0));
    CHECK(with(R"("includes":{"minKernel":"6.1"})", 0));
    CHECK(with(R"("includes":{"minKernel":"4.8"})", 0));
    CHECK_FALSE(with(R"("includes":{"minKernel":"6.2"})", 0));
    CHECK_FALSE(with(R"("excludes":{"minKernel":"6.1"})", 0));
    CHECK(with(R"("excludes":{"minKernel":"6.2"})", 0));
    // What is not for this container may be what nobody knows yet.
    CHECK(getpid_by(R"({"names":["getpid"],"action":"SCMP_ACT_NEW",)"
                    R"("includes":{"minKernel":"99.0"}})") == eperm_value);
}

TEST_CASE("architectures by either list", "[container][seccomp]") {
    const auto says = [](const std::string& lists, std::uint32_t architecture) {
        const auto filter = compiled(R"({"defaultAction":"SCMP_ACT_ALLOW",)" + lists + "}");
        return decide(filter.program, 0, 0, architecture);
    };
    const std::string own = std::string("\"") + own_name + "\"";
    const std::string other = std::string("\"") + sibling_name + "\"";
    const std::string map = R"("archMap":[{"architecture":"SCMP_ARCH_S390X","subArchitectures":[)" +
                            other + R"(]},{"architecture":)" + own + R"(,"subArchitectures":[)";
    for (const std::string& with :
         {"\"architectures\":[" + own + "," + other + "]", map + other + ",\"SCMP_ARCH_X32\"]}]"}) {
        INFO(with);
        CHECK(says(with, native) == allow_value);
        CHECK(says(with, sibling) == allow_value);
        CHECK(says(with, AUDIT_ARCH_PPC) == SECCOMP_RET_KILL_PROCESS);
    }
    for (const std::string& without :
         {"\"architectures\":[" + own + "]", map + "]}]", std::string(R"("comment":"none")")}) {
        INFO(without);
        CHECK(says(without, native) == allow_value);
        CHECK(says(without, sibling) == SECCOMP_RET_KILL_PROCESS);
    }
}

TEST_CASE("flags are passed on", "[container][seccomp]") {
    const auto flags = [](const std::string& list) {
        return compiled(R"({"defaultAction":"SCMP_ACT_ALLOW")" + list + "}").flags;
    };
    CHECK(flags("") == SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    CHECK(flags(R"(,"flags":[])") == 0);
    CHECK(flags(R"(,"flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC"])") ==
          SECCOMP_FILTER_FLAG_LOG);
}

TEST_CASE("a broken profile is refused with its place", "[container][seccomp]") {
    const std::string decoding = "invalid_argument: Decoding seccomp profile failed: ";
    CHECK_THAT(refusal("not json"), Catch::StartsWith(decoding));
    CHECK_THAT(refusal(""), Catch::StartsWith(decoding));
    CHECK_THAT(refusal("[]"), Catch::StartsWith(decoding + "json: cannot unmarshal array"));
    CHECK_THAT(refusal(R"({"defaultAction":1})"), Catch::StartsWith(decoding));
    CHECK_THAT(refusal(with_call(R"("names":"getpid")")), Catch::StartsWith(decoding));
    CHECK_THAT(refusal(with_call(R"("names":["a"],"errnoRet":-1)")), Catch::StartsWith(decoding));
    CHECK_THAT(refusal(with_call(R"("args":[{"index":"0"}])")), Catch::StartsWith(decoding));
    CHECK(refusal(with_call(R"("includes":{"minKernel":"4"})")) ==
          decoding + R"(invalid kernel version: "4", expected "<kernel>.<major>")");
    CHECK(refusal(with_call(R"("includes":{"minKernel":"0.0"})")) ==
          decoding + R"(invalid kernel version: "0.0", version cannot be 0.0)");
    CHECK(refusal(with_call(R"("names":["a"],"name":"b")")) ==
          "invalid_argument: both 'name' and 'names' are specified in the seccomp profile, use "
          "either 'name' or 'names'");
    CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],)"
                  R"("archMap":[{"architecture":"SCMP_ARCH_X86_64"}]})") ==
          "invalid_argument: both 'architectures' and 'archMap' are specified in the seccomp "
          "profile, use either 'architectures' or 'archMap'");
    const std::string invalid = "invalid_argument: invalid seccomp profile: ";
    CHECK(refusal(R"({"defaultAction":"SCMP_ACT_NOPE"})") ==
          invalid + "defaultAction: string SCMP_ACT_NOPE is not a valid action for seccomp");
    CHECK(refusal(R"({"syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW"}]})") ==
          invalid + "defaultAction: string  is not a valid action for seccomp");
    CHECK(refusal(with_call(R"("names":["a"],"action":"ALLOW")")) ==
          invalid + "syscalls[0]: string ALLOW is not a valid action for seccomp");
    CHECK(refusal(with_call(R"("names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"op":"EQ"}])")) ==
          invalid + "syscalls[0]: string EQ is not a valid operator for seccomp");
    CHECK(refusal(with_call(R"("names":["a"],"action":"SCMP_ACT_ALLOW",)"
                            R"("args":[{"index":6,"op":"SCMP_CMP_EQ"}])")) ==
          invalid + "syscalls[0]: a system call has six arguments, index 0 to 5");
    CHECK(refusal(with_call(R"("names":[""],"action":"SCMP_ACT_ALLOW")")) ==
          invalid + "syscalls[0]: empty string is not a valid syscall");
    CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["x86"]})") ==
          invalid + "string x86 is not a valid arch for seccomp");
    CHECK(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["NEW"]})") ==
          invalid + "seccomp flag NEW is not known");
}

TEST_CASE("what asks an agent is refused", "[container][seccomp]") {
    CHECK_THAT(refusal(R"({"defaultAction":"SCMP_ACT_NOTIFY"})"),
               Catch::StartsWith("unsupported: SCMP_ACT_NOTIFY in a seccomp profile"));
    CHECK_THAT(refusal(with_call(R"("names":["a"],"action":"SCMP_ACT_NOTIFY")")),
               Catch::StartsWith("unsupported: SCMP_ACT_NOTIFY"));
    CHECK_THAT(refusal(R"({"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x"})"),
               Catch::StartsWith("unsupported: listenerPath"));
}

TEST_CASE("profiles are bounded", "[container][seccomp]") {
    CHECK_THAT(refusal(std::string(seccomp_profile_bytes_max + 1, ' ')),
               Catch::StartsWith("resource_exhausted: "));
    std::string many;
    for (int i = 0; i < 300; ++i) {
        many += "\"a\",";
    }
    std::string conditions;
    for (int i = 0; i < 300; ++i) {
        conditions += R"({"op":"SCMP_CMP_EQ"},)";
    }
    many.pop_back();
    conditions.pop_back();
    CHECK(refusal(with_call("\"action\":\"SCMP_ACT_ALLOW\",\"names\":[" + many + "],\"args\":[" +
                            conditions + "]")) ==
          "resource_exhausted: seccomp profile has too many rules");
}

namespace {

struct OneRule {
    std::uint32_t action;  // libseccomp's.
    const char* name;
    bool conditional;
    unsigned value;
};

/// What libseccomp makes of rules for getpid, given one after the other as runc gives them; nothing
/// if it refuses one.
std::optional<std::string> judged(const std::vector<OneRule>& rules) {
    scmp_filter_ctx context = ::seccomp_init(SCMP_ACT_ERRNO(EPERM));
    REQUIRE(context != nullptr);
    bool taken = true;
    for (const OneRule& rule : rules) {
        if (rule.action == SCMP_ACT_ERRNO(EPERM)) {
            continue;
        }
        const scmp_arg_cmp condition = SCMP_A0(SCMP_CMP_EQ, rule.value);
        taken = taken &&
                ::seccomp_rule_add_array(
                    context, rule.action, SYS_getpid, rule.conditional ? 1 : 0, &condition) == 0;
    }
    const Fd file(::memfd_create("filter", MFD_CLOEXEC));
    REQUIRE(::seccomp_export_bpf(context, file.get()) == 0);
    ::seccomp_release(context);
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    std::string program(static_cast<std::size_t>(size), '\0');
    REQUIRE(::pread(file.get(), program.data(), program.size(), 0) == size);
    return taken ? std::optional(program) : std::nullopt;
}

std::string json_of(const std::vector<OneRule>& rules) {
    std::string calls;
    for (const OneRule& rule : rules) {
        calls += std::string(calls.empty() ? "" : ",") + R"({"names":["getpid"],"action":")" +
                 rule.name + "\"";
        if (rule.conditional) {
            calls += R"(,"args":[{"index":0,"op":"SCMP_CMP_EQ","value":)" +
                     std::to_string(rule.value) + "}]";
        }
        calls += "}";
    }
    return R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + calls + "]}";
}

}  // namespace

TEST_CASE("rules for one call are settled as libseccomp does", "[container][seccomp]") {
    std::mt19937 random(7);
    const OneRule kinds[] = {{SCMP_ACT_ALLOW, "SCMP_ACT_ALLOW", false, 0},
                             {SCMP_ACT_ERRNO(EPERM), "SCMP_ACT_ERRNO", false, 0},
                             {SCMP_ACT_TRAP, "SCMP_ACT_TRAP", false, 0},
                             {SCMP_ACT_LOG, "SCMP_ACT_LOG", false, 0}};
    int compared = 0;
    for (int round = 0; round < 2000; ++round) {
        std::vector<OneRule> rules;
        const unsigned count = 1 + random() % 4;
        for (unsigned i = 0; i < count; ++i) {
            rules.push_back(kinds[random() % std::size(kinds)]);
            rules.back().conditional = random() % 3 != 0;
            rules.back().value = i + 1;  // Overlapping ones have no order in libseccomp.
        }
        const auto expected = judged(rules);
        if (!expected) {
            continue;
        }
        ++compared;
        INFO(json_of(rules));
        const std::string program = compiled(json_of(rules)).program;
        for (std::uint64_t first = 0; first < 6; ++first) {
            INFO(first);
            REQUIRE(decide(program, SYS_getpid, first) == decide(*expected, SYS_getpid, first));
        }
    }
    CHECK(compared > 1000);
}

TEST_CASE("a kernel's release", "[container][seccomp]") {
    CHECK(kernel_version_parse("6.18.44-fc") == KernelVersion{6, 18});
    CHECK(kernel_version_parse("5.4") == KernelVersion{5, 4});
    CHECK(kernel_version_parse("odd") == KernelVersion{0, 0});
}
