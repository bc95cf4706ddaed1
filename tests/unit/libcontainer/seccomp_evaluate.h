#pragma once
/// A small interpreter of classic BPF: what a compiled seccomp filter says to a call.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "tests/support/catch.h"

namespace davit::test {

/// What the kernel's interpreter would return; asserts what its verifier would.
inline std::uint32_t evaluate(const std::string& program, const seccomp_data& data) {
    const std::size_t count = program.size() / sizeof(sock_filter);
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < count;) {
        sock_filter step{};
        std::memcpy(&step, program.data() + at * sizeof(step), sizeof(step));
        ++at;
        switch (step.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                REQUIRE(step.k + 4 <= sizeof(data));
                std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                accumulator &= step.k;
                break;
            case BPF_JMP | BPF_JA:
                at += step.k;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                at += accumulator == step.k ? step.jt : step.jf;
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                at += accumulator > step.k ? step.jt : step.jf;
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                at += accumulator >= step.k ? step.jt : step.jf;
                break;
            case BPF_RET | BPF_K:
                return step.k;
            default:
                FAIL("unknown instruction");
        }
    }
    FAIL("ran off the end");
    return 0;
}

#if defined(__x86_64__)
inline constexpr std::uint32_t native = AUDIT_ARCH_X86_64;
#else
inline constexpr std::uint32_t native = AUDIT_ARCH_AARCH64;
#endif

inline std::uint32_t decide(const std::string& program,
                            long number,
                            std::uint64_t first = 0,
                            std::uint32_t architecture = native) {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = architecture;
    data.args[0] = first;
    return evaluate(program, data);
}

inline constexpr std::uint32_t allowed = SECCOMP_RET_ALLOW;
inline constexpr std::uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
inline constexpr std::uint32_t missing = SECCOMP_RET_ERRNO | ENOSYS;

}  // namespace davit::test
