// Goal: whoever asks for a limit that the host does not have is told, in Docker's words, and nobody
// else is. Method: every limit asked for on hosts that have all, none, or all but one.
#include "jobs/container/host_limits.h"

#include <algorithm>

#include "tests/support/catch.h"

using namespace davit;

namespace {

HostConfig all_limits() {
    HostConfig config;
    config.memory = 1 << 24;
    config.memory_swap = 1 << 25;
    config.memory_reservation = 1 << 23;
    config.pids_limit = 10;
    config.cpu_shares = 100;
    config.nano_cpus = 500'000'000;
    config.cpuset_cpus = std::string("0");
    config.blkio_weight = 100;
    config.blkio_weight_device = {{"/dev/sda", 20}};
    config.blkio_device_read_bps = {{"/dev/sda", 1000}};
    config.blkio_device_write_iops = {{"/dev/sda", 1000}};
    config.memory_swappiness = 10;
    config.oom_kill_disable = true;
    config.ulimits = {{"nofile", 1000, 2000}, {"core", -1, -1}};
    return config;
}

HostLimits nothing() {
    HostLimits limits;
    limits.memory = limits.swap = limits.memory_reservation = limits.pids = false;
    limits.cpu_shares = limits.cpu_quota = limits.cpuset = limits.blkio_weight = false;
    limits.memory_swappiness = limits.oom_kill_disable = false;
    limits.blkio_weight_device = limits.blkio_rates = false;
    limits.hard_max.fill(1024);
    return limits;
}

std::vector<std::string> without(bool HostLimits::*limit) {
    HostLimits limits;
    limits.*limit = false;
    return host_limit_warnings(all_limits(), limits);
}

}  // namespace

TEST_CASE("a host that has every limit warns of none", "[container][host_limits]") {
    CHECK(host_limit_warnings(all_limits(), HostLimits()).empty());
    CHECK(host_limit_warnings(HostConfig(), nothing()).empty());
}

TEST_CASE("each limit that is missing is told of once", "[container][host_limits]") {
    const auto warnings = host_limit_warnings(all_limits(), nothing());
    CHECK(warnings.size() == 14);  // Memory without a limit needs no word on swap; two ulimits.
    const auto swap = without(&HostLimits::swap);
    REQUIRE(swap.size() == 1);
    CHECK(swap.front() ==
          "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
          "Memory limited without swap.");
    CHECK(without(&HostLimits::pids).size() == 1);
    CHECK(without(&HostLimits::cpu_quota).size() == 1);
    HostConfig unlimited = all_limits();
    unlimited.memory_swap = -1;
    HostLimits limits;
    limits.swap = false;
    CHECK(host_limit_warnings(unlimited, limits).empty());
}

TEST_CASE("a ulimit above what can be had is told of", "[container][host_limits]") {
    HostConfig config;
    config.ulimits = {{"nofile", 1000, 2000}, {"core", -1, -1}, {"nproc", 5, 5}};
    HostLimits limits;
    limits.hard_max[RLIMIT_NOFILE] = 2000;
    limits.hard_max[RLIMIT_CORE] = 7;
    const auto core = host_limit_warnings(config, limits);
    REQUIRE(core.size() == 1);
    CHECK(core.front() ==
          "ulimit core: the hard limit cannot be raised to unlimited here. It stays at 7.");
    limits.hard_max[RLIMIT_NOFILE] = 1999;
    CHECK(host_limit_warnings(config, limits).size() == 2);
}

TEST_CASE("this host's limits can be read", "[container][host_limits]") {
    const auto layout = CgroupLayout::detect();
    if (!layout) {
        WARN("no cgroups here");
        return;
    }
    const HostLimits limits = HostLimits::read(*layout);
    CHECK(limits.memory == (layout->find("memory") != nullptr));
    CHECK(limits.pids == (layout->find("pids") != nullptr));
    CHECK(limits.hard_max[RLIMIT_NOFILE] < RLIM_INFINITY);
    const HostLimits bare = HostLimits::read(CgroupLayout());
    CHECK_FALSE(bare.memory);
    CHECK_FALSE(bare.swap);
    CHECK_FALSE(bare.cpu_shares);
}

TEST_CASE("cgroup v2 has no swappiness and keeps its OOM killer", "[container][host_limits]") {
    CgroupLayout layout;
    layout.mode = CgroupMode::v2;
    layout.hierarchies.push_back({"/nowhere", {"memory", "cpu", "io"}, true});
    const HostLimits limits = HostLimits::read(layout);
    CHECK(limits.memory);
    CHECK_FALSE(limits.memory_swappiness);
    CHECK_FALSE(limits.oom_kill_disable);
}

TEST_CASE("what cannot be left out is refused", "[container][host_limits]") {
    HostConfig config;
    HostLimits limits;
    limits.cpu_realtime = limits.apparmor = false;
    CHECK(host_limits_check(config, limits));
    config.security_opt = {"apparmor=unconfined"};
    CHECK(host_limits_check(config, limits));
    config.security_opt = {"apparmor=profile"};
    CHECK_THAT(host_limits_check(config, limits).error().message(),
               Catch::StartsWith("apparmor: config provided but apparmor not supported"));
    limits.apparmor = true;
    CHECK(host_limits_check(config, limits));
    config.cpu_realtime_runtime = 1000;
    CHECK(host_limits_check(config, limits).error().message() ==
          "kernel does not support CPU real-time scheduler");
    limits.cpu_realtime = true;
    CHECK(host_limits_check(config, limits));
}
