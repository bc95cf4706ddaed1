#include "libcontainer/device_filter.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace davit {

namespace {

// Registers while the rules are gone through.
constexpr std::uint8_t context = BPF_REG_1;
constexpr std::uint8_t type = BPF_REG_2;
constexpr std::uint8_t access = BPF_REG_3;
constexpr std::uint8_t major = BPF_REG_4;
constexpr std::uint8_t minor = BPF_REG_5;
constexpr std::uint8_t scratch = BPF_REG_1;  // The context is read by then.

constexpr int type_mask = 0xffff;
constexpr int access_shift = 16;
constexpr int access_all = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

bpf_insn instruction(unsigned code,
                     std::uint8_t to,
                     std::uint8_t from = 0,
                     std::int16_t offset = 0,
                     std::int32_t value = 0) {
    bpf_insn made{};
    made.code = static_cast<__u8>(code);
    made.dst_reg = to & 0xf;
    made.src_reg = from & 0xf;
    made.off = offset;
    made.imm = value;
    return made;
}

bpf_insn load(std::uint8_t to, std::size_t offset) {
    return instruction(BPF_LDX | BPF_W | BPF_MEM, to, context, static_cast<std::int16_t>(offset));
}

int access_of(const DeviceRule& rule) {
    return (rule.make ? BPF_DEVCG_ACC_MKNOD : 0) | (rule.read ? BPF_DEVCG_ACC_READ : 0) |
           (rule.write ? BPF_DEVCG_ACC_WRITE : 0);
}

/// Rules for the same numbers count as one. Their order means nothing: all of them allow.
std::vector<DeviceRule> merged(std::span<const DeviceRule> rules) {
    std::vector<DeviceRule> all;
    for (const DeviceRule& rule : rules) {
        const auto same = std::ranges::find_if(all, [&](const DeviceRule& other) {
            return other.type == rule.type && other.major == rule.major &&
                   other.minor == rule.minor;
        });
        if (same == all.end()) {
            all.push_back(rule);
            continue;
        }
        same->read |= rule.read;
        same->write |= rule.write;
        same->make |= rule.make;
    }
    return all;
}

/// Allow if the rule matches, else go on behind it.
void rule_add(std::vector<bpf_insn>& program, const DeviceRule& rule) {
    std::vector<std::size_t> jumps;  // To what follows; their offsets are not known yet.
    const auto unless_equal = [&](std::uint8_t left, std::uint32_t value) {
        // A 32-bit comparison: numbers beyond INT32_MAX are not sign extended.
        jumps.push_back(program.size());
        program.push_back(
            instruction(BPF_JMP32 | BPF_JNE | BPF_K, left, 0, 0, static_cast<std::int32_t>(value)));
    };
    if (rule.type != DeviceRule::Type::any) {
        unless_equal(
            type, rule.type == DeviceRule::Type::block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (access_of(rule) != access_all) {
        program.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, scratch, access));
        program.push_back(
            instruction(BPF_ALU | BPF_AND | BPF_K, scratch, 0, 0, access_all & ~access_of(rule)));
        unless_equal(scratch, 0);
    }
    if (rule.major) {
        unless_equal(major, *rule.major);
    }
    if (rule.minor) {
        unless_equal(minor, *rule.minor);
    }
    program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1));
    program.push_back(instruction(BPF_JMP | BPF_EXIT, 0));
    for (const std::size_t jump : jumps) {
        program[jump].off = static_cast<std::int16_t>(program.size() - jump - 1);
    }
}

Result<int> bpf_call(bpf_cmd command, bpf_attr& attributes, const char* what) {
    // EAGAIN: a signal came while the verifier worked.
    for (;;) {
        const long done = ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
        if (done >= 0) {
            return static_cast<int>(done);
        }
        if (errno != EAGAIN && errno != EINTR) {
            return Error::from_errno(errno, what, "device filter");
        }
    }
}

}  // namespace

std::vector<bpf_insn> device_filter_compile(std::span<const DeviceRule> rules) {
    std::vector<bpf_insn> program{
        load(type, offsetof(bpf_cgroup_dev_ctx, access_type)),
        instruction(BPF_ALU | BPF_MOV | BPF_X, access, type),
        instruction(BPF_ALU | BPF_AND | BPF_K, type, 0, 0, type_mask),
        instruction(BPF_ALU | BPF_RSH | BPF_K, access, 0, 0, access_shift),
        load(major, offsetof(bpf_cgroup_dev_ctx, major)),
        load(minor, offsetof(bpf_cgroup_dev_ctx, minor)),
    };
    for (const DeviceRule& rule : merged(rules)) {
        rule_add(program, rule);
    }
    program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0));
    program.push_back(instruction(BPF_JMP | BPF_EXIT, 0));
    return program;
}

Result<void> device_filter_attach(int cgroup, std::span<const DeviceRule> rules) {
    const std::vector<bpf_insn> program = device_filter_compile(rules);
    bpf_attr load_request{};
    load_request.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load_request.insns = reinterpret_cast<std::uintptr_t>(program.data());
    load_request.insn_cnt = static_cast<__u32>(program.size());
    load_request.license = reinterpret_cast<std::uintptr_t>("");
    TRY(const int number, bpf_call(BPF_PROG_LOAD, load_request, "load"));
    const Fd loaded(number);
    bpf_attr attach_request{};
    attach_request.target_fd = static_cast<__u32>(cgroup);
    attach_request.attach_bpf_fd = static_cast<__u32>(loaded.get());
    attach_request.attach_type = BPF_CGROUP_DEVICE;
    attach_request.attach_flags = BPF_F_ALLOW_MULTI;
    TRY([[maybe_unused]] const int attached, bpf_call(BPF_PROG_ATTACH, attach_request, "attach"));
    return ok;
}

}  // namespace davit
