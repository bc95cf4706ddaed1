// Goal: device rules read back as written, and the program lets pass what they allow.
// Method: an interpreter of the few instructions that the program has; the kernel's verifier and
// its answers are in tests/integration/libcontainer/cgroup_test.cc.
#include <map>

#include "libcontainer/defaults.h"
#include "libcontainer/device_filter.h"
#include "tests/support/catch.h"

using namespace davit;

namespace {

DeviceRule rule(std::string_view text) {
    const auto parsed = DeviceRule::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

struct Access {
    int type = BPF_DEVCG_DEV_CHAR;
    int what = BPF_DEVCG_ACC_READ;
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
};

/// Gives: what the program returns.
std::uint64_t answer(const std::vector<bpf_insn>& program, const Access& access) {
    const std::uint32_t context[3] = {
        static_cast<std::uint32_t>(access.what << 16 | access.type), access.major, access.minor};
    std::map<int, std::uint64_t> registers;
    for (std::size_t at = 0;; ++at) {
        REQUIRE(at < program.size());
        const bpf_insn& step = program[at];
        std::uint64_t& to = registers[step.dst_reg];
        const auto value = static_cast<std::uint32_t>(step.imm);
        switch (step.code) {
            case BPF_LDX | BPF_W | BPF_MEM:
                REQUIRE(step.src_reg == BPF_REG_1);
                to = context[step.off / 4];
                break;
            case BPF_ALU | BPF_MOV | BPF_X:
                to = static_cast<std::uint32_t>(registers[step.src_reg]);
                break;
            case BPF_ALU64 | BPF_MOV | BPF_K:
                to = value;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                to = static_cast<std::uint32_t>(to) & value;
                break;
            case BPF_ALU | BPF_RSH | BPF_K:
                to = static_cast<std::uint32_t>(to) >> value;
                break;
            case BPF_JMP32 | BPF_JNE | BPF_K:
                at += static_cast<std::uint32_t>(to) != value ? static_cast<std::size_t>(step.off)
                                                              : 0;
                break;
            case BPF_JMP | BPF_EXIT:
                return registers[BPF_REG_0];
            default:
                FAIL("instruction " << static_cast<int>(step.code));
        }
    }
}

bool allowed(std::initializer_list<std::string_view> texts, const Access& access) {
    std::vector<DeviceRule> rules;
    for (const std::string_view text : texts) {
        rules.push_back(rule(text));
    }
    return answer(device_filter_compile(rules), access) == 1;
}

constexpr int read_write = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

}  // namespace

TEST_CASE("a device rule reads back as written", "[libcontainer][device]") {
    for (const std::string_view text : {"c 1:3 rwm", "b *:* m", "a *:* rwm", "c 136:* rw"}) {
        CHECK(rule(text).text() == text);
    }
    CHECK(rule("b 8:0 mr").text() == "b 8:0 rm");
    for (const std::string_view text : {"",
                                        "c",
                                        "c 1:3",
                                        "c 1:3 ",
                                        "c 1:3 rx",
                                        "c 1:3 rwmr",
                                        "d 1:3 r",
                                        "c 1 r",
                                        "c 1: r",
                                        "c :3 r",
                                        "c -1:3 r",
                                        "c 4294967296:3 r",
                                        "c  1:3 r",
                                        "c 1:3 r ",
                                        "c 1:3:4 r"}) {
        INFO(text);
        CHECK_FALSE(DeviceRule::parse(text));
    }
}

TEST_CASE("what no rule allows is denied", "[libcontainer][device]") {
    CHECK_FALSE(allowed({}, {.major = 1, .minor = 3}));
    CHECK(allowed({"c 1:3 r"}, {.major = 1, .minor = 3}));
    CHECK_FALSE(allowed({"c 1:3 r"}, {.major = 1, .minor = 4}));
    CHECK_FALSE(allowed({"c 1:3 r"}, {.major = 2, .minor = 3}));
    CHECK_FALSE(allowed({"b 1:3 r"}, {.major = 1, .minor = 3}));
    CHECK(allowed({"a 1:3 r"}, {.major = 1, .minor = 3}));
    CHECK(allowed({"c 1:* r"}, {.major = 1, .minor = 77}));
    CHECK(allowed({"b 8:0 rwm", "c *:3 r"}, {.major = 4'000'000'000, .minor = 3}));
    CHECK(allowed({"c 4000000000:3 r"}, {.major = 4'000'000'000, .minor = 3}));
}

TEST_CASE("all of an access must be allowed", "[libcontainer][device]") {
    const Access both{.what = read_write, .major = 1, .minor = 3};
    CHECK_FALSE(allowed({"c 1:3 r"}, both));
    CHECK(allowed({"c 1:3 rw"}, both));
    CHECK(allowed({"c 1:3 r", "c 1:3 w"}, both));
    CHECK_FALSE(allowed({"c 1:3 rw"}, {.what = BPF_DEVCG_ACC_MKNOD, .major = 1, .minor = 3}));
}

TEST_CASE("Docker's rules let make everything and open little", "[libcontainer][device]") {
    const auto program = device_filter_compile(device_rules_default());
    const auto passes = [&](int type, int what, std::uint32_t major, std::uint32_t minor) {
        return answer(program, {type, what, major, minor}) == 1;
    };
    CHECK(passes(BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_MKNOD, 8, 0));
    CHECK_FALSE(passes(BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 8, 0));
    CHECK(passes(BPF_DEVCG_DEV_CHAR, read_write, 1, 3));
    CHECK(passes(BPF_DEVCG_DEV_CHAR, read_write, 136, 12));
    CHECK_FALSE(passes(BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 11));
}
