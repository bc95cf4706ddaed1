/// Goal: a container's cgroups limit it, count it, freeze it, kill it, and go away. Method: below a
/// parent of this test's own, on whatever layout the host has.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "libcontainer/cgroup_stats.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Catch::Matchers::Contains;

constexpr std::int64_t mebibyte = 1024 * 1024;

CgroupLayout host_layout() {
    require_root();
    auto layout = CgroupLayout::detect();
    REQUIRE(layout);
    return *std::move(layout);
}

/// Below "/davit-test-<pid>"; that parent is removed with it.
class Fixture {
  public:
    explicit Fixture(const Resources& resources = {}, CgroupLayout host = host_layout())
        : layout(std::move(host)), parent("/davit-test-" + std::to_string(::getpid())) {
        auto made = Cgroup::create(layout, parent + "/one", resources, warnings);
        if (!made) {
            FAIL(made.error().message());
        }
        cgroup.emplace(*std::move(made));
    }

    ~Fixture() {
        CHECK(cgroup->remove());
        for (const auto& hierarchy : layout.hierarchies) {
            ::rmdir((hierarchy.mount_point + parent).c_str());
            CHECK(::access((hierarchy.mount_point + parent).c_str(), F_OK) != 0);
        }
    }

    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    ContainerSpec shell(const std::string& script) const {
        ContainerSpec spec = spec_for_shell(script);
        spec.cgroup = cgroup->placement();
        return spec;
    }

    std::string read(const char* controller, const char* file) const {
        const auto text = file_read(cgroup->controller_fd(controller), file);
        REQUIRE(text);
        return *text;
    }

    bool is_v2(const char* controller) const {
        return cgroup->controller_fd(controller) == cgroup->unified_fd();
    }

    CgroupLayout layout;
    std::string parent;
    std::vector<std::string> warnings;
    std::optional<Cgroup> cgroup;
};

/// A container that sleeps, and what is needed to end it.
struct Sleeper {
    Fd init;
    Fd plan;
    Launched launched;
};

Sleeper sleeper(const Fixture& fixture, const Rootfs& rootfs, const std::string& script) {
    auto init = init_binary_open();
    auto compiled = plan_compile(fixture.shell(script));
    REQUIRE(compiled);
    auto plan = plan_memory_file(*compiled);
    const Fd root = rootfs.mount();
    const std::vector<int> registers = {root.get()};
    LaunchRequest request;
    request.init_fd = init->get();
    request.plan_fd = plan->get();
    request.clone_flags = compiled->clone_flags;
    request.registers = registers;
    request.cgroup_fd = fixture.cgroup->unified_fd();
    auto launched = launch(request);
    REQUIRE(launched);
    REQUIRE(next_event(launched->channel.get()).kind == InitEvent::Kind::closed);
    return {*std::move(init), *std::move(plan), *std::move(launched)};
}

}  // namespace

TEST_CASE("limits are written and processes are inside") {
    const Rootfs rootfs;
    const Fixture fixture({.memory_bytes = 64 * mebibyte,
                           .cpu_quota_us = 50'000,
                           .cpu_period_us = 100'000,
                           .pids_max = 20});
    if (fixture.is_v2("memory")) {
        CHECK(fixture.read("memory", "memory.max") == "67108864\n");
        CHECK(fixture.read("cpu", "cpu.max") == "50000 100000\n");
    } else {
        CHECK(fixture.read("memory", "memory.limit_in_bytes") == "67108864\n");
        CHECK(fixture.read("cpu", "cpu.cfs_quota_us") == "50000\n");
    }
    CHECK(fixture.read("pids", "pids.max") == "20\n");
    const Outcome outcome = run(fixture.shell("cat /proc/self/cgroup; ls /sys/fs/cgroup; "
                                              "cat /sys/fs/cgroup/memory/memory.limit_in_bytes "
                                              "/sys/fs/cgroup/memory.max 2>/dev/null; true"),
                                rootfs,
                                fixture.cgroup->unified_fd());
    INFO((outcome.error ? outcome.error->message() : outcome.output));
    REQUIRE_FALSE(outcome.error);
    // The root of its cgroup namespace is its own cgroup: no path of the host shows.
    CHECK_THAT(outcome.output, !Contains("davit-test"));
    CHECK_THAT(outcome.output, Contains("memory:/\n") || Contains("0::/\n"));
    CHECK_THAT(outcome.output, Contains("67108864\n"));
}

TEST_CASE("the memory limit kills, and the kill is counted") {
    const Rootfs rootfs;
    const Fixture fixture({.memory_bytes = 16 * mebibyte, .memory_swap_bytes = 16 * mebibyte});
    const Outcome outcome = run(fixture.shell("exec dd if=/dev/zero of=/dev/null bs=64M count=1"),
                                rootfs,
                                fixture.cgroup->unified_fd());
    CHECK_FALSE(outcome.error);
    CHECK(outcome.status.signaled);
    CHECK(outcome.status.shell_code() == 137);
    const auto count = fixture.cgroup->oom_kill_count();
    REQUIRE(count);
    CHECK(*count >= 1);
}

TEST_CASE("the pids limit stops forks") {
    const Rootfs rootfs;
    const Fixture fixture({.pids_max = 3});
    const Outcome outcome =
        run(fixture.shell("sleep 0 & sleep 0 & sleep 0 & sleep 0 & sleep 0 & sleep 0 & wait"),
            rootfs,
            fixture.cgroup->unified_fd());
    CHECK_THAT(outcome.output, Contains("can't fork"));
}

TEST_CASE("everything inside is listed, frozen, and killed") {
    const Rootfs rootfs;
    Fixture fixture;
    const Sleeper process = sleeper(fixture, rootfs, "sleep 1000 & sleep 1000 & wait");
    // Its children may still be on their way: only the init is there for sure.
    const auto lists_init = [&process](const Cgroup& cgroup) {
        const auto pids = cgroup.pids();
        REQUIRE(pids);
        return std::find(pids->begin(), pids->end(), process.launched.init.pid()) != pids->end();
    };
    CHECK(lists_init(*fixture.cgroup));
    CHECK_FALSE(fixture.cgroup->remove());  // Busy.
    const auto reopened = Cgroup::open(fixture.layout, fixture.parent + "/one");
    REQUIRE(reopened);
    CHECK(lists_init(*reopened));

    REQUIRE(fixture.cgroup->freeze());
    REQUIRE(fixture.cgroup->kill());  // Frozen processes die, too.
    const ExitStatus status = reap(process.launched.init);
    CHECK(status.signaled);
    CHECK(status.value == SIGKILL);
    CHECK(fixture.cgroup->pids()->empty());
}

TEST_CASE("a process is found in the cgroup that the container made for it") {
    const Rootfs rootfs;
    Fixture fixture;
    if (fixture.cgroup->unified_fd() < 0) {
        WARN("skipped: no v2 hierarchy here");
        return;
    }
    const Sleeper process = sleeper(fixture, rootfs, "sleep 1000");
    const pid_t pid = process.launched.init.pid();
    const auto inode = [](int fd) {
        struct stat info {};

        REQUIRE(::fstat(fd, &info) == 0);
        return info.st_ino;
    };
    auto leaf = fixture.cgroup->leaf_of(pid);
    REQUIRE(leaf);
    CHECK(inode(leaf->get()) == inode(fixture.cgroup->unified_fd()));
    const std::string inner = fixture.layout.unified()->mount_point + fixture.parent + "/one/inner";
    REQUIRE(::mkdir(inner.c_str(), 0755) == 0);
    REQUIRE(file_write_existing(AT_FDCWD, inner + "/cgroup.procs", std::to_string(pid)));
    leaf = fixture.cgroup->leaf_of(pid);
    REQUIRE(leaf);
    CHECK(inode(leaf->get()) != inode(fixture.cgroup->unified_fd()));
    const auto outside = fixture.cgroup->leaf_of(::getpid());
    REQUIRE_FALSE(outside);
    CHECK(outside.error().kind() == ErrorKind::conflict);
    REQUIRE(fixture.cgroup->kill());
    static_cast<void>(reap(process.launched.init));
}

TEST_CASE("a cgroup that exists is not taken over") {
    const Fixture fixture;
    std::vector<std::string> warnings;
    const auto second = Cgroup::create(fixture.layout, fixture.parent + "/one", {}, warnings);
    REQUIRE_FALSE(second);
    CHECK(second.error().kind() == ErrorKind::conflict);
    CHECK(fixture.cgroup->pids());  // Still there.
}

TEST_CASE("a refused limit undoes the directories") {
    const CgroupLayout layout = host_layout();
    std::vector<std::string> warnings;
    const std::string path = "/davit-test-refused-" + std::to_string(::getpid());
    const auto cgroup = Cgroup::create(layout, path, {.pids_max = 1LL << 40}, warnings);
    REQUIRE_FALSE(cgroup);
    CHECK(cgroup.error().kind() == ErrorKind::invalid_argument);
    for (const auto& hierarchy : layout.hierarchies) {
        CHECK(::access((hierarchy.mount_point + path).c_str(), F_OK) != 0);
    }
}

TEST_CASE("updating moves memory limits both ways") {
    Fixture fixture({.memory_bytes = 64 * mebibyte, .memory_swap_bytes = 64 * mebibyte});
    std::vector<std::string> warnings;
    CHECK(fixture.cgroup->update(
        {.memory_bytes = 128 * mebibyte, .memory_swap_bytes = 128 * mebibyte}, warnings));
    CHECK(fixture.cgroup->update(
        {.memory_bytes = 32 * mebibyte, .memory_swap_bytes = 48 * mebibyte}, warnings));
    CHECK(fixture.cgroup->update({.memory_bytes = -1, .memory_swap_bytes = -1}, warnings));
}

TEST_CASE("device rules apply, by v1's file and by a program") {
    const Rootfs rootfs;
    CgroupLayout layout = host_layout();
    const bool with_file = layout.find("devices") != nullptr;
    if (GENERATE(false, true)) {
        std::erase_if(layout.hierarchies, [](const CgroupLayout::Hierarchy& hierarchy) {
            return std::ranges::find(hierarchy.controllers, "devices") !=
                   hierarchy.controllers.end();
        });
    } else if (!with_file) {
        return;
    }
    INFO("with a program: " << (layout.find("devices") == nullptr));
    const Fixture fixture({.device_rules = device_rules_default()}, layout);
    if (layout.find("devices") == nullptr && layout.unified() == nullptr) {
        CHECK(fixture.warnings.size() == 1);
        return;
    }
    CHECK(fixture.warnings.empty());
    rootfs.symlink("busybox", "bin/mknod");
    const Outcome outcome =
        run(fixture.shell("mknod /dev/vda b 254 0; (cat /dev/vda) 2>&1 | head -c 200; "
                          "head -c 1 /dev/zero | wc -c; mknod /dev/kmsg2 c 1 11; "
                          "(echo > /dev/kmsg2) 2>&1"),
            rootfs,
            fixture.cgroup->unified_fd());
    CHECK_THAT(outcome.output, Contains("can't open '/dev/vda': Operation not permitted"));
    CHECK_THAT(outcome.output, Contains("can't create /dev/kmsg2: Operation not permitted"));
    CHECK_THAT(outcome.output, Contains("1\n"));
}

TEST_CASE("a change that is refused half-way changes nothing") {
    Fixture fixture({.memory_bytes = 64 * mebibyte, .memory_swap_bytes = 96 * mebibyte});
    const bool v2 = fixture.is_v2("memory");
    const auto limits = [&] {
        return v2 ? fixture.read("memory", "memory.max") + fixture.read("memory", "memory.swap.max")
                  : fixture.read("memory", "memory.limit_in_bytes") +
                        fixture.read("memory", "memory.memsw.limit_in_bytes");
    };
    const std::string before = limits();
    std::vector<std::string> warnings;
    // The limit of processes is written after memory's, and is more than the kernel takes.
    for (const std::int64_t bytes : {32 * mebibyte, 128 * mebibyte}) {
        const auto refused = fixture.cgroup->change(
            {.memory_bytes = bytes, .memory_swap_bytes = 2 * bytes, .pids_max = 1LL << 40},
            warnings);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind() == ErrorKind::invalid_argument);
        CHECK(limits() == before);
    }
    const auto changed = fixture.cgroup->change(
        {.memory_bytes = 32 * mebibyte, .memory_swap_bytes = 48 * mebibyte, .pids_max = 7},
        warnings);
    REQUIRE(changed);
    CHECK(limits() != before);
    CHECK(fixture.read("pids", "pids.max") == "7\n");
    CHECK(changed->restore());
    CHECK(limits() == before);
    CHECK(fixture.read("pids", "pids.max") == "max\n");
}

TEST_CASE("a hierarchy that was not needed is joined when it is") {
    const Rootfs rootfs;
    Fixture fixture;
    const Sleeper process = sleeper(fixture, rootfs, "sleep 1000 & sleep 1000 & wait");
    const auto cpuset = fixture.layout.find("cpuset");
    if (cpuset != nullptr) {
        std::vector<std::string> warnings;
        REQUIRE(fixture.cgroup->change({.cpuset_cpus = "0"}, warnings));
        CHECK(warnings.empty());
        CHECK(fixture.read("cpuset", "cpuset.cpus") == "0\n");
        const auto text =
            file_read("/proc/" + std::to_string(process.launched.init.pid()) + "/status");
        REQUIRE(text);
        CHECK_THAT(*text, Contains("Cpus_allowed_list:\t0\n"));
    }
    REQUIRE(fixture.cgroup->kill());
    CHECK(reap(process.launched.init).value == SIGKILL);
}

TEST_CASE("what is used is counted, by whoever holds the descriptors") {
    const Rootfs rootfs;
    Fixture fixture({.memory_bytes = 64 * mebibyte, .pids_max = 20});
    const auto reader = CgroupStatsReader::open(*fixture.cgroup);
    REQUIRE(reader);
    const Sleeper process = sleeper(fixture, rootfs, "while :; do :; done");
    CgroupStats stats;
    for (int tries = 0; tries < 1000 && stats.cpu_total == 0; ++tries) {
        const auto read = reader->read();
        REQUIRE(read);
        stats = *read;
    }
    CHECK(stats.cpu_total > 0);
    CHECK(stats.memory > 0);
    CHECK(stats.memory_limit == 64 * mebibyte);
    CHECK_FALSE(stats.memory_stat.empty());
    CHECK(stats.pids >= 1);
    CHECK(stats.pids_max == 20);
    REQUIRE(fixture.cgroup->kill());
    CHECK(reap(process.launched.init).value == SIGKILL);
    for (int tries = 0; tries < 1000 && !fixture.cgroup->remove(); ++tries) {
        ::usleep(1000);
    }
    const auto gone = reader->read();
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind() == ErrorKind::not_found);
}

}  // namespace davit::test
