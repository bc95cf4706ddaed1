// Promises: a seccomp profile from anywhere is read within its bounds or refused with a reason;
// what it compiles to is a program that the kernel's verifier takes: of whole instructions, within
// its limit, jumping forward and inside, ending everywhere in a return.
#include <linux/filter.h>

#include <cstring>

#include "tests/fuzz/fuzz.h"

#include "runtime/seccomp_profile.h"

namespace davit::fuzz {

namespace {

void check_program(const std::string& program) {
    const std::size_t count = program.size() / sizeof(sock_filter);
    require(program.size() % sizeof(sock_filter) == 0, "instructions are whole");
    require(count > 0 && count <= BPF_MAXINSNS, "a program has a size that the kernel takes");
    for (std::size_t at = 0; at < count; ++at) {
        sock_filter step{};
        std::memcpy(&step, program.data() + at * sizeof(step), sizeof(step));
        const std::size_t left = count - at - 1;
        if (step.code == (BPF_JMP | BPF_JA)) {
            require(step.k < left, "a jump stays inside");
        } else if (BPF_CLASS(step.code) == BPF_JMP) {
            require(step.jt < left && step.jf < left, "a branch stays inside");
        } else if (BPF_CLASS(step.code) != BPF_RET) {
            require(left > 0, "a program ends in a return");
        }
    }
}

void seccomp(std::string_view input) {
    for (const CapabilitySet capabilities : {CapabilitySet{0}, ~CapabilitySet{0}}) {
        const SeccompTarget target{capabilities, {6, 1}};
        const auto profile = seccomp_profile_parse(input, target);
        if (!profile) {
            const ErrorKind kind = profile.error().kind();
            require(kind == ErrorKind::invalid_argument || kind == ErrorKind::unsupported ||
                        kind == ErrorKind::resource_exhausted,
                    "refusals have a reason");
            require(!seccomp_profile_compile(input, target), "what is refused is not compiled");
            continue;
        }
        const auto filter = seccomp_profile_compile(input, target);
        if (!filter) {
            require(filter.error().kind() == ErrorKind::resource_exhausted,
                    "what was read is compiled, or too large");
        } else if (profile->has_value()) {
            check_program(filter->program);
        } else {
            require(filter->program.empty(), "a profile that says nothing filters nothing");
        }
    }
}

const bool registered = add(
    {"seccomp",
     seccomp,
     {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"archMap":[{"architecture":)"
      R"("SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}],"syscalls":[)"
      R"({"names":["read","write","mseal"],"action":"SCMP_ACT_ALLOW"},)"
      R"({"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,)"
      R"("valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}],"excludes":{"caps":["CAP_SYS_ADMIN"],)"
      R"("arches":["s390x"]}},{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]})",
      R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],)"
      R"("flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"name":"socket","action":)"
      R"("SCMP_ACT_TRAP","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"},{"index":1,"value":)"
      R"(18446744073709551615,"op":"SCMP_CMP_GT"},{"index":1,"value":2,"op":"SCMP_CMP_LE"}],)"
      R"("includes":{"minKernel":"4.8","arches":["amd64","arm64"]}},{"names":["socket"],)"
      R"("action":"SCMP_ACT_LOG","comment":"x"}]})",
      R"({"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{"names":["mkdir"],"action":)"
      R"("SCMP_ACT_TRACE","errnoRet":77}]})"},
     {"\"SCMP_ACT_NOTIFY\"",
      "\"SCMP_ACT_KILL\"",
      "\"SCMP_CMP_GE\"",
      "\"SCMP_CMP_LT\"",
      "\"names\":[\"personality\"]",
      "\"listenerPath\":\"/x\"",
      "\"minKernel\":\"99.0\"",
      "null",
      "-1",
      "18446744073709551616",
      "65536",
      "\"\"",
      ",",
      "{",
      "}",
      "[",
      "]"},
     5000});

}  // namespace

}  // namespace davit::fuzz
