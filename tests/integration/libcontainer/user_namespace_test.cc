/// Goal: a container in a user namespace is root inside and nobody outside, and all else is as in
/// one without. Method: run busybox in one whose root is ID-mapped, look from the inside, and at
/// the disk.
#include "libcontainer/user_namespace.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcontainer/exec_plan.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Catch::Matchers::Contains;

constexpr std::uint32_t first = 200'000;

IdMap ids() {
    return {.uids = {{0, first, 1000}, {1000, 400'000, 64536}}, .gids = {{0, first, 65536}}};
}

/// A root whose files belong to the ids inside, and the namespace.
struct Inside {
    Rootfs rootfs;
    UserNamespace users;
    Fd root;

    Inside() {
        require_root();
        auto made = user_namespace_make(ids(), false);
        REQUIRE(made);
        users = *std::move(made);
        root = rootfs.mount();
        const auto mapped = mount_map_ids(root.get(), users.user.get(), "root");
        REQUIRE(mapped);
    }

    Outcome run(ContainerSpec spec) const {
        spec.ids = ids();
        return run_with(spec, root, {users.user.get()});
    }

    std::string output_of(const ContainerSpec& spec) const {
        const Outcome outcome = run(spec);
        INFO((outcome.error ? outcome.error->message() : outcome.output));
        REQUIRE_FALSE(outcome.error);
        CHECK(outcome.status.value == 0);
        CHECK(outcome.warnings.empty());
        return outcome.output;
    }

    std::string output_of(const std::string& script) const {
        return output_of(spec_for_shell(script));
    }
};

struct stat on_disk(const Rootfs& rootfs, const std::string& name) {
    struct stat info {};

    REQUIRE(::lstat((rootfs.path() + "/" + name).c_str(), &info) == 0);
    return info;
}

}  // namespace

TEST_CASE("root inside is nobody outside") {
    const Inside inside;
    const std::string output = inside.output_of(
        "echo $$ $(id -u):$(id -g); busybox awk '{print $1, $2, $3}' /proc/self/uid_map; "
        "busybox stat -L -c %u:%g /etc/passwd /proc/self /dev /dev/null; hostname; "
        "busybox touch /new && busybox chown 1001:7 /new; busybox id -G; "
        "grep CapEff /proc/self/status");
    CHECK(output ==
          "1 0:0\n0 200000 1000\n1000 400000 64536\n0:0\n0:0\n0:0\n0:0\ndavit-test\n0\n"
          "CapEff:\t00000000a80425fb\n");
    // On disk it is what it was made as.
    CHECK(on_disk(inside.rootfs, "new").st_uid == 1001);
    CHECK(on_disk(inside.rootfs, "new").st_gid == 7);
}

TEST_CASE("its namespaces belong to its user namespace") {
    const Inside inside;
    const std::string output = inside.output_of(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ip addr show lo | grep -c UP; "
        "busybox ls /sys/class/net; echo x > /dev/null && echo null; ls /dev/mqueue; "
        "busybox dd if=/dev/zero bs=1 count=1 2>/dev/null | wc -c; "
        "busybox touch /dev/shm/x && echo shm; busybox mknod /dev/mine c 1 3 2>&1 || true");
    CHECK_THAT(output, Contains("lo\n") && Contains("null\n1\nshm\n"));
    CHECK_THAT(output, Contains("Operation not permitted"));
}

TEST_CASE("what it shall set in its namespaces is set") {
    const Inside inside;
    ContainerSpec spec = spec_for_shell(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat "
        "/proc/sys/net/ipv4/ping_group_range");
    spec.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                    {"net.ipv4.ping_group_range", "0 65535"}};
    CHECK(inside.output_of(spec) == "0\n0\t65535\n");
}

TEST_CASE("what the host has keeps its owner") {
    const Inside inside;
    const Rootfs host;
    host.file("secret", "of the host", 0600);
    host.file("shown", "of the host", 0644);
    ContainerSpec spec = spec_for_shell(
        "busybox stat -c %u /host/shown; cat /host/shown; echo; cat /host/secret; "
        "echo x > /host/shown; busybox touch /host/new; busybox chown 0 /host/shown; "
        "busybox chmod 777 /host/shown; true");
    Mount bind;
    bind.kind = MountKind::bind;
    bind.source = host.path();
    bind.target = "/host";
    spec.mounts.push_back(bind);
    const std::string output = inside.output_of(spec);
    CHECK_THAT(output, Contains("65534\nof the host\n"));
    CHECK_THAT(output, Contains("can't open '/host/secret': Permission denied"));
    CHECK_THAT(output, Contains("can't create /host/shown: Permission denied"));
    const auto shown = file_read(host.path() + "/shown");
    REQUIRE(shown);
    CHECK(*shown == "of the host");
    CHECK((on_disk(host, "shown").st_mode & 0777) == 0644);
    CHECK(::access((host.path() + "/new").c_str(), F_OK) != 0);
}

TEST_CASE("a mount with its ids is its own") {
    const Inside inside;
    const Rootfs volume;
    ContainerSpec spec = spec_for_shell("echo x > /volume/new && busybox stat -c %u /volume/new");
    Mount bind;
    bind.kind = MountKind::bind;
    bind.source = volume.path();
    bind.target = "/volume";
    bind.maps_ids = true;
    spec.mounts.push_back(bind);
    CHECK(inside.output_of(spec) == "0\n");
    CHECK(on_disk(volume, "new").st_uid == 0);
}

TEST_CASE("another user has its standard streams and its limits") {
    const Inside inside;
    ContainerSpec spec = spec_for_shell(
        "echo to stdout > /dev/stdout; busybox id -u; busybox id -G; ulimit -Hn; ulimit -Sn");
    spec.process.uid = 1001;
    spec.process.gid = 50;
    spec.process.additional_gids = {50, 60};
    ResourceLimit limit;
    limit.name = "nofile";
    limit.soft = 12;
    limit.hard = 5000;
    spec.process.resource_limits.push_back(limit);
    CHECK(inside.output_of(spec) == "to stdout\n1001\n50 60\n5000\n12\n");
}

TEST_CASE("a terminal of its own, in a user namespace") {
    const Inside inside;
    ContainerSpec spec = spec_for_shell("tty; busybox stat -c %u:%g $(tty); echo x > /dev/tty");
    spec.process.terminal = true;
    CHECK(inside.output_of(spec) == "/dev/pts/0\r\n0:5\r\nx\r\n");
}

TEST_CASE("an id that is not there is refused") {
    const Inside inside;
    ContainerSpec spec = spec_for({"true"});
    spec.process.uid = 70'000;
    const Outcome outcome = inside.run(spec);
    REQUIRE(outcome.error);
    CHECK_THAT(outcome.error->message(), Contains("set user"));
}

TEST_CASE("a user namespace that cannot be made says why") {
    require_root();
    const auto twice = user_namespace_make(
        {.uids = {{0, first, 10}, {5, first + 20, 10}}, .gids = {{0, first, 10}}}, false);
    REQUIRE_FALSE(twice);
    CHECK(twice.error().kind() == ErrorKind::invalid_argument);
}

TEST_CASE("a file system without ID-mapped mounts is named") {
    require_root();
    const auto users = user_namespace_make(ids(), false);
    REQUIRE(users);
    const auto proc = mount_fs_detached("proc", {});
    REQUIRE(proc);
    const auto mapped = mount_map_ids(proc->get(), users->user.get(), "/proc");
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().kind() == ErrorKind::unsupported);
    CHECK_THAT(mapped.error().message(),
               Contains("/proc: its file system has no ID-mapped mounts"));
}

TEST_CASE("files are made as somebody else, and then as root again") {
    require_root();
    const Rootfs rootfs;
    {
        const FileOwnerGuard owner(first, first + 1);
        rootfs.file("theirs", "");
    }
    rootfs.file("ours", "");
    CHECK(on_disk(rootfs, "theirs").st_uid == first);
    CHECK(on_disk(rootfs, "theirs").st_gid == first + 1);
    CHECK(on_disk(rootfs, "ours").st_uid == 0);
}

TEST_CASE("the map of a process") {
    require_root();
    const auto own = PidRef::open(::getpid());
    REQUIRE(own);
    const auto none = user_namespace_map_of(*own);
    REQUIRE(none);
    CHECK(none->is_identity());
    const auto parsed =
        id_ranges_parse("         0     200000       1000\n      1000 400000 64536\n");
    REQUIRE(parsed);
    CHECK(*parsed == ids().uids);
    CHECK_FALSE(id_ranges_parse("0 1"));
}

}  // namespace davit::test
