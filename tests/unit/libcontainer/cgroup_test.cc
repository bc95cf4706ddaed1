/// Goal: every layout of cgroup hierarchies is recognised. Method: mountinfo texts of real hosts.
#include "libcontainer/cgroup.h"

#include "tests/support/catch.h"

namespace davit {

TEST_CASE("pure v2") {
    const auto layout = CgroupLayout::parse(
        "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
        "26 22 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
        "rw,nsdelegate,memory_recursiveprot\n");
    REQUIRE(layout);
    CHECK(layout->mode == CgroupMode::v2);
    REQUIRE(layout->unified() != nullptr);
    CHECK(layout->unified()->mount_point == "/sys/fs/cgroup");
}

TEST_CASE("pure v1 with controllers mounted together") {
    const auto layout = CgroupLayout::parse(
        "30 25 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
        "32 25 0:28 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory");
    REQUIRE(layout);
    CHECK(layout->mode == CgroupMode::v1);
    CHECK(layout->unified() == nullptr);
    CHECK(layout->hierarchies.size() == 2);  // A named hierarchy limits nothing.
    REQUIRE(layout->find("cpuacct") != nullptr);
    CHECK(layout->find("cpuacct") == layout->find("cpu"));
    CHECK(layout->find("cpu")->mount_point == "/sys/fs/cgroup/cpu,cpuacct");
    CHECK(layout->find("pids") == nullptr);
}

TEST_CASE("hybrid, with what must not be taken for a hierarchy") {
    const auto layout = CgroupLayout::parse(
        "32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "40 25 0:28 /docker/abc /var/lib/x/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 25 0:28 / /mnt/second rw - cgroup cgroup rw,memory\n"
        "42 25 0:30 / /mnt/with\\040space rw - cgroup cgroup rw,pids\n"
        "garbage\n");
    REQUIRE(layout);
    CHECK(layout->mode == CgroupMode::hybrid);
    CHECK(layout->hierarchies.size() == 3);
    CHECK(layout->find("memory")->mount_point == "/sys/fs/cgroup/memory");
    CHECK(layout->find("pids")->mount_point == "/mnt/with space");
}

TEST_CASE("no cgroups at all") {
    const auto layout = CgroupLayout::parse("22 28 0:20 / /sys rw - sysfs sysfs rw\n");
    REQUIRE_FALSE(layout);
    CHECK(layout.error().kind() == ErrorKind::unsupported);
}

TEST_CASE("paths that are not below the hierarchies are refused") {
    const auto layout = CgroupLayout::parse("1 1 0:1 / /nonexistent rw - cgroup2 cgroup2 rw\n");
    REQUIRE(layout);
    std::vector<std::string> warnings;
    for (const char* path :
         {"", "/", "davit/x", "/davit/../x", "/davit/..", "/davit//x", "/x/", "/./x"}) {
        const auto cgroup = Cgroup::create(*layout, path, {}, warnings);
        INFO(path);
        REQUIRE_FALSE(cgroup);
        CHECK(cgroup.error().kind() == ErrorKind::invalid_argument);
    }
}

TEST_CASE("cpu shares as weights") {
    CHECK(cpu_weight_from_shares(2) == 1);
    CHECK(cpu_weight_from_shares(1024) == 39);
    CHECK(cpu_weight_from_shares(262'144) == 10'000);
    CHECK(cpu_weight_from_shares(0) == 1);
    CHECK(cpu_weight_from_shares(1'000'000) == 10'000);
}

TEST_CASE("where a process is in the v2 hierarchy") {
    CHECK(unified_path_parse("0::/davit/x/inner\n") == "/davit/x/inner");
    CHECK(unified_path_parse("5:memory:/a\n1:name=systemd:/b\n0::/c") == "/c");
    CHECK(unified_path_parse("5:memory:/a\n") == "");
    CHECK(unified_path_parse("") == "");
}

}  // namespace davit
