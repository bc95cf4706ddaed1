/// Not a check: how long a launch takes, from launch() to reaped, beside the floor of a bare
/// clone3. Prints medians; hidden, run it in a Release build with the tag [timing].
#include <linux/sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "reactor/base/clock.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Samples = std::vector<double>;

double microseconds(MonotonicTime from, MonotonicTime to) {
    return static_cast<double>((to - from).count()) / 1000.0;
}

void print(const char* name, Samples samples) {
    std::sort(samples.begin(), samples.end());
    std::printf("%-44s min %7.0f  p50 %7.0f  p95 %7.0f us\n",
                name,
                samples.front(),
                samples[samples.size() / 2],
                samples[samples.size() * 95 / 100]);
    std::fflush(stdout);
}

struct Prepared {
    Fd init;
    LaunchPlan plan;
    Fd plan_fd;
};

Prepared prepare(const ContainerSpec& spec) {
    auto plan = plan_compile(spec);
    auto init = init_binary_open();
    auto plan_fd = plan_memory_file(*plan);
    return {*std::move(init), *std::move(plan), *std::move(plan_fd)};
}

void measure(const char* name, const ContainerSpec& spec, const Rootfs& rootfs, int rounds) {
    const Prepared ready = prepare(spec);
    Samples total;
    Samples clone;
    for (int i = 0; i < rounds; ++i) {
        const Fd root = rootfs.mount();
        const std::vector<int> registers = {root.get()};
        LaunchRequest request;
        request.init_fd = ready.init.get();
        request.plan_fd = ready.plan_fd.get();
        request.clone_flags = ready.plan.clone_flags;
        request.registers = registers;
        const MonotonicTime begin = monotonic_now();
        auto launched = launch(request);
        const MonotonicTime cloned = monotonic_now();
        if (!launched) {
            FAIL(launched.error().message());
        }
        const ExitStatus status = reap(launched->init);
        const MonotonicTime end = monotonic_now();
        if (status.value != 0) {
            const InitEvent event = next_event(launched->channel.get());
            FAIL((event.error ? event.error->message() : "exit code"));
        }
        total.push_back(microseconds(begin, end));
        clone.push_back(microseconds(begin, cloned));
    }
    print(name, total);
    print("    of which launch()", clone);
}

/// The floor: the same namespaces, no set-up, no exec.
void measure_bare(const char* name, std::uint64_t flags, int rounds) {
    Samples samples;
    for (int i = 0; i < rounds; ++i) {
        const MonotonicTime begin = monotonic_now();

        struct clone_args arguments {};

        arguments.flags = flags;
        arguments.exit_signal = SIGCHLD;
        const long pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
        if (pid == 0) {
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(static_cast<pid_t>(pid), &status, 0);
        samples.push_back(microseconds(begin, monotonic_now()));
    }
    print(name, samples);
}

void measure_spawn(const Rootfs& rootfs, int rounds) {
    Samples samples;
    const std::string path = rootfs.path() + "/bin/true";
    char name[] = "true";
    char* const arguments[] = {name, nullptr};
    char* const environment[] = {nullptr};
    for (int i = 0; i < rounds; ++i) {
        const MonotonicTime begin = monotonic_now();
        pid_t pid = 0;
        ::posix_spawn(&pid, path.c_str(), nullptr, nullptr, arguments, environment);
        int status = 0;
        ::waitpid(pid, &status, 0);
        samples.push_back(microseconds(begin, monotonic_now()));
    }
    print("posix_spawn busybox true", samples);
}

}  // namespace

TEST_CASE("timing", "[.timing]") {
    constexpr int rounds = 300;
    const Rootfs rootfs;
    constexpr std::uint64_t all =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
    measure_spawn(rootfs, rounds);
    measure_bare("bare clone3, no namespaces", 0, rounds);
    measure_bare("bare clone3, all but net", all & ~std::uint64_t{CLONE_NEWNET}, rounds);
    measure_bare("bare clone3, all", all, rounds);
    ContainerSpec spec = spec_for({"/bin/true"});
    measure("launch true, Docker's defaults", spec, rootfs, rounds);
    ContainerSpec host = spec;
    host.namespaces.network = NamespaceMode::host;
    measure("launch true, host network", host, rootfs, rounds);
    ContainerSpec unmasked = host;
    unmasked.masked_paths.clear();
    unmasked.readonly_paths.clear();
    measure("  and nothing masked", unmasked, rootfs, rounds);
    ContainerSpec bare = unmasked;
    bare.mounts.clear();
    bare.devices.clear();
    bare.symlinks.clear();
    measure("  and no mounts", bare, rootfs, rounds);
    bare.process.seccomp_filter.clear();
    measure("  and no seccomp", bare, rootfs, rounds);
}

}  // namespace davit::test
