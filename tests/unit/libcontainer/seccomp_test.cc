/// Goal: filters decide as their profile says. Method: run the compiled program in a small
/// interpreter of classic BPF over every call number and chosen arguments; then load it in a child
/// and make real calls.
#include "libcontainer/seccomp.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "tests/support/catch.h"
#include "tests/unit/libcontainer/seccomp_evaluate.h"

namespace davit {

using namespace test;

namespace {

std::string default_filter(CapabilitySet capabilities) {
    auto filter = seccomp_default_filter(capabilities);
    REQUIRE(filter);
    return *std::move(filter);
}

}  // namespace

TEST_CASE("the default profile with the default capabilities") {
    const std::string filter = default_filter(capabilities_default());
    for (const long call : std::initializer_list<long>{
             SYS_read, SYS_execve, SYS_openat, SYS_ptrace, SYS_chroot, SYS_futex, 452L, 462L}) {
        INFO(call);
        CHECK(decide(filter, call) == allowed);
    }
    for (const long call : std::initializer_list<long>{SYS_mount,
                                                       SYS_bpf,
                                                       SYS_unshare,
                                                       SYS_setns,
                                                       SYS_reboot,
                                                       SYS_kexec_load,
                                                       SYS_add_key,
                                                       SYS_keyctl,
                                                       SYS_io_uring_setup,
                                                       SYS_open_by_handle_at,
                                                       SYS_userfaultfd}) {
        INFO(call);
        CHECK(decide(filter, call) == refused);
    }
    CHECK(decide(filter, SYS_clone3) == missing);
    CHECK(decide(filter, SYS_clone, SIGCHLD) == allowed);
    CHECK(decide(filter, SYS_clone, CLONE_NEWUSER | SIGCHLD) == refused);
    CHECK(decide(filter, SYS_socket, AF_INET) == allowed);
    CHECK(decide(filter, SYS_socket, 40) == refused);
    CHECK(decide(filter, SYS_socket, (std::uint64_t{1} << 32) | 40) == allowed);
    CHECK(decide(filter, SYS_personality, 0) == allowed);
    CHECK(decide(filter, SYS_personality, 0xffffffff) == allowed);
    CHECK(decide(filter, SYS_personality, 0x0040000) == refused);  // ADDR_NO_RANDOMIZE
    CHECK(decide(filter, 467) == missing);
    CHECK(decide(filter, 1000) == missing);
    CHECK(decide(filter, 0, 0, AUDIT_ARCH_PPC) == SECCOMP_RET_KILL_PROCESS);
}

TEST_CASE("capabilities open calls") {
    const std::string admin = default_filter(capability_bit(CAP_SYS_ADMIN));
    CHECK(decide(admin, SYS_mount) == allowed);
    CHECK(decide(admin, SYS_clone3) == allowed);
    CHECK(decide(admin, SYS_clone, CLONE_NEWUSER) == allowed);
    CHECK(decide(admin, SYS_chroot) == refused);
    CHECK(decide(default_filter(capability_bit(CAP_SYS_BOOT)), SYS_reboot) == allowed);
    CHECK(decide(default_filter(0), SYS_chroot) == refused);
}

#if defined(__x86_64__)
TEST_CASE("the other ABIs of x86-64") {
    const std::string filter = default_filter(capabilities_default());
    CHECK(decide(filter, 0x40000000) == missing);
    CHECK(decide(filter, 3, 0, AUDIT_ARCH_I386) == allowed);     // read
    CHECK(decide(filter, 21, 0, AUDIT_ARCH_I386) == refused);    // mount
    CHECK(decide(filter, 102, 0, AUDIT_ARCH_I386) == allowed);   // socketcall
    CHECK(decide(filter, 359, 2, AUDIT_ARCH_I386) == allowed);   // socket
    CHECK(decide(filter, 359, 40, AUDIT_ARCH_I386) == refused);  // socket(AF_VSOCK)
    CHECK(decide(filter, 396, 0, AUDIT_ARCH_I386) == allowed);   // shmctl
}
#endif

TEST_CASE("every comparison, in 64 bits") {
    struct Case {
        SeccompCompare compare;
        bool below, same, above;
    };

    const std::uint64_t pivot = (std::uint64_t{5} << 32) | 7;
    for (const Case& expected : {Case{SeccompCompare::less, true, false, false},
                                 Case{SeccompCompare::less_or_equal, true, true, false},
                                 Case{SeccompCompare::equal, false, true, false},
                                 Case{SeccompCompare::not_equal, true, false, true},
                                 Case{SeccompCompare::greater_or_equal, false, true, true},
                                 Case{SeccompCompare::greater, false, false, true}}) {
        SeccompProfile profile;
        SeccompRule rule;
        rule.names = {"getpid"};
        rule.arguments = {{.value = pivot, .compare = expected.compare}};
        profile.rules = {rule};
        const auto filter = seccomp_compile(profile, 0);
        REQUIRE(filter);
        INFO(static_cast<int>(expected.compare));
        // Lower and higher in either half of the number.
        for (const std::uint64_t value : {pivot - 1, pivot - (std::uint64_t{1} << 32) + 5}) {
            CHECK((decide(*filter, SYS_getpid, value) == allowed) == expected.below);
        }
        CHECK((decide(*filter, SYS_getpid, pivot) == allowed) == expected.same);
        for (const std::uint64_t value : {pivot + 1, pivot + (std::uint64_t{1} << 32) - 5}) {
            CHECK((decide(*filter, SYS_getpid, value) == allowed) == expected.above);
        }
    }
}

TEST_CASE("a profile in which every call has an action of its own") {
    // Nothing can be shared, so the search needs its long jumps.
    SeccompProfile profile;
    std::map<int, int> expected;
    for (const SeccompRule& known : seccomp_profile_default().rules) {
        for (const std::string& name : known.names) {
            const int number = ::seccomp_syscall_resolve_name(name.c_str());
            const int error = static_cast<int>(expected.size()) + 2;
            if (number >= 0 && expected.emplace(number, error).second) {
                SeccompRule rule;
                rule.names = {name};
                rule.action = SeccompAction::fail;
                rule.errno_value = error;
                profile.rules.push_back(rule);
            }
        }
    }
    REQUIRE(expected.size() > 300);
    const auto filter = seccomp_compile(profile, 0);
    REQUIRE(filter);
    const int number_max = expected.rbegin()->first;
    for (int number = 0; number <= number_max; ++number) {
        const auto found = expected.find(number);
        const auto error =
            static_cast<std::uint32_t>(found == expected.end() ? EPERM : found->second);
        INFO(number);
        REQUIRE(decide(*filter, number) == (SECCOMP_RET_ERRNO | error));
    }
}

TEST_CASE("alternatives and conditions of one call") {
    SeccompProfile profile;
    SeccompRule both;
    both.names = {"getpid", "no_such_call"};
    both.arguments = {{.index = 0, .value = 1}, {.index = 1, .value = 2}};
    SeccompRule other;
    other.names = {"getpid"};
    other.action = SeccompAction::fail;
    other.errno_value = 77;
    profile.rules = {both, other};
    const auto filter = seccomp_compile(profile, 0);
    REQUIRE(filter);
    seccomp_data data{};
    data.nr = SYS_getpid;
    data.arch = native;
    data.args[0] = 1;
    data.args[1] = 2;
    CHECK(evaluate(*filter, data) == allowed);
    data.args[1] = 3;
    CHECK(evaluate(*filter, data) == (SECCOMP_RET_ERRNO | 77));
    profile.rules[0].arguments[0].index = 6;
    CHECK_FALSE(seccomp_compile(profile, 0));
}

TEST_CASE("the kernel takes the filter and applies it") {
    const std::string filter = default_filter(capabilities_default());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        sock_fprog program{};
        program.len = static_cast<unsigned short>(filter.size() / sizeof(sock_filter));
        program.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()));
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
            ::_exit(10);
        }
        if (::getppid() <= 0) {
            ::_exit(11);
        }
        if (::syscall(SYS_unshare, CLONE_NEWUSER) != -1 || errno != EPERM) {
            ::_exit(12);
        }
        if (::syscall(SYS_clone3, nullptr, 0) != -1 || errno != ENOSYS) {
            ::_exit(13);
        }
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace davit
