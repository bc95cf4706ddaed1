/// Goal: a container launched from a spec is what Docker's would be. Method: run busybox in it and
/// look from the inside.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "libcontainer/user.h"
#include "tests/integration/libcontainer/harness.h"
#include "tests/support/catch.h"

namespace davit::test {

namespace {

using Catch::Matchers::Contains;

/// The output of a script that must succeed.
std::string output_of(const ContainerSpec& spec, const Rootfs& rootfs) {
    const Outcome outcome = run(spec, rootfs);
    INFO((outcome.error ? outcome.error->message() : outcome.output));
    REQUIRE_FALSE(outcome.error);
    CHECK(outcome.status.value == 0);
    CHECK(outcome.warnings.empty());
    return outcome.output;
}

std::string output_of(const std::string& script) {
    require_root();
    const Rootfs rootfs;
    return output_of(spec_for_shell(script), rootfs);
}

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text + "\n").find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the exit code and the output arrive") {
    require_root();
    const Rootfs rootfs;
    const Outcome outcome = run(spec_for_shell("echo out; echo err >&2; exit 7"), rootfs);
    CHECK_FALSE(outcome.error);
    CHECK(outcome.output == "out\nerr\n");
    CHECK(outcome.status.value == 7);
    CHECK_FALSE(outcome.status.signaled);
}

TEST_CASE("a process of its own") {
    const std::string output =
        output_of("echo pid $$; hostname; umask; pwd; echo home $HOME; ls /proc/self/fd | wc -l");
    // The last: 0, 1, 2 and the one that ls reads with.
    CHECK(output == "pid 1\ndavit-test\n0022\n/\nhome /root\n4\n");
    const Rootfs rootfs;
    const std::string status = output_of(spec_for({"cat", "/proc/self/status"}), rootfs);
    for (const char* line : {"CapInh:\t0000000000000000",
                             "CapPrm:\t00000000a80425fb",
                             "CapEff:\t00000000a80425fb",
                             "CapBnd:\t00000000a80425fb",
                             "CapAmb:\t0000000000000000",
                             "Seccomp:\t2",
                             "NoNewPrivs:\t0",
                             "SigBlk:\t0000000000000000",
                             "SigIgn:\t0000000000000000"}) {
        INFO(line);
        CHECK(has_line(status, line));
    }
}

TEST_CASE("namespaces of its own, and the host's where asked") {
    require_root();
    const Rootfs rootfs;
    const auto links = [&](const ContainerSpec& spec) { return output_of(spec, rootfs); };
    const std::string script =
        "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; cat "
        "/proc/net/dev";
    const std::string own = links(spec_for_shell(script));
    const auto host = [](const char* name) {
        char target[64] = {};
        CHECK(::readlink((std::string("/proc/self/ns/") + name).c_str(), target, 63) > 0);
        return std::string(target);
    };
    for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
        INFO(name);
        CHECK_FALSE(has_line(own, host(name)));
    }
    CHECK_THAT(own, Contains("lo:"));
    ContainerSpec shared = spec_for_shell(script);
    shared.hostname.clear();
    shared.namespaces = {.pid = NamespaceMode::host,
                         .network = NamespaceMode::host,
                         .ipc = NamespaceMode::host,
                         .uts = NamespaceMode::host,
                         .cgroup = NamespaceMode::host};
    const std::string with_host = links(shared);
    for (const char* name : {"pid", "net", "ipc", "uts", "cgroup"}) {
        INFO(name);
        CHECK(has_line(with_host, host(name)));
    }
    CHECK_FALSE(has_line(with_host, host("mnt")));
}

TEST_CASE("loopback is up in a new network namespace") {
    CHECK_THAT(output_of("ip addr show lo"), Contains("UP") && Contains("127.0.0.1/8"));
}

TEST_CASE("a network namespace can be joined") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("readlink /proc/self/ns/net");
    spec.namespaces.network = NamespaceMode::join;
    const auto own = Fd::open("/proc/self/ns/net", O_RDONLY);
    REQUIRE(own);
    const Fd root = rootfs.mount();
    const Outcome outcome = run_with(spec, root, {own->get()});
    CHECK_FALSE(outcome.error);
    char target[64] = {};
    CHECK(::readlink("/proc/self/ns/net", target, 63) > 0);
    CHECK(outcome.output == std::string(target) + "\n");
}

TEST_CASE("the mounts are Docker's and nothing of the host's") {
    const std::string output = output_of("cat /proc/self/mounts");
    for (const char* line : {"proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0",
                             "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755 0 0",
                             "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0",
                             "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime 0 0",
                             "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k 0 0",
                             "proc /proc/sys proc ro,nosuid,nodev,noexec,relatime 0 0"}) {
        INFO(output);
        CHECK(has_line(output, line));
    }
    CHECK_THAT(
        output,
        Contains("devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666"));
    std::size_t at = 0;
    while (at < output.size()) {
        const std::string line = output.substr(at, output.find('\n', at) - at);
        const std::string target = line.substr(line.find(' ') + 1);
        const bool expected = target.starts_with("/ ") || target.starts_with("/proc") ||
                              target.starts_with("/dev") || target.starts_with("/sys");
        INFO(line);
        CHECK(expected);
        at += line.size() + 1;
    }
}

TEST_CASE("devices") {
    const std::string output = output_of(
        "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; "
        "readlink /dev/ptmx; readlink /dev/fd; stat -c '%a %t:%T %F' /dev/null /dev/tty; "
        "echo x > /dev/full || echo full");
    CHECK(has_line(output, "3"));
    CHECK(has_line(output, "4"));
    CHECK(has_line(output, "pts/ptmx"));
    CHECK(has_line(output, "/proc/self/fd"));
    CHECK(has_line(output, "666 1:3 character special file"));
    CHECK(has_line(output, "666 5:0 character special file"));
    CHECK(has_line(output, "full"));
}

TEST_CASE("what is masked and what is read-only") {
    const std::string output = output_of(
        "head -c 1 /proc/keys | wc -c; head -c 1 /proc/timer_list | wc -c; ls /sys/firmware | wc "
        "-l; "
        "(echo 1 > /proc/sys/kernel/domainname) 2>&1; (echo 1 > /proc/irq/default_smp_affinity) "
        "2>&1; "
        "(mkdir /sys/fs/cgroup/x) 2>&1; mount -t tmpfs none /mnt 2>&1; echo done");
    CHECK_THAT(output, Contains("0\n0\n0\n"));
    CHECK_THAT(output, Contains("/proc/sys/kernel/domainname: Read-only file system"));
    CHECK_THAT(output, Contains("/proc/irq/default_smp_affinity: Read-only file system"));
    CHECK_THAT(output,
               Contains("can't create directory '/sys/fs/cgroup/x': Read-only file system"));
    CHECK_THAT(output, Contains("Operation not permitted") || Contains("permission denied"));
}

TEST_CASE("a privileged container") {
    require_root();
    const Rootfs rootfs;
    auto spec = container_spec_default({.privileged = true});
    REQUIRE(spec);
    spec->process.arguments = {
        "/bin/sh",
        "-c",
        "cat /proc/self/status; mkdir -p /mnt; mount -t tmpfs none /mnt && echo mounted; "
        "echo box > /proc/sys/kernel/hostname && hostname"};
    const std::string output = output_of(*spec, rootfs);
    char expected[40];
    std::snprintf(expected,
                  sizeof(expected),
                  "CapEff:\t%016llx",
                  static_cast<unsigned long long>(capabilities_available()));
    CHECK(has_line(output, expected));
    CHECK(has_line(output, "Seccomp:\t0"));
    CHECK(has_line(output, "mounted"));
    CHECK(has_line(output, "box"));
}

TEST_CASE("user, groups, working directory, umask, limits") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell(
        "id -u; id -g; id -G; pwd; umask; ulimit -n; stat -c %u /srv/deep; grep Cap "
        "/proc/self/status; "
        "echo again > /dev/stdout");
    const Fd root = rootfs.mount();
    const auto user = user_resolve_in_root(root.get(), "web");
    REQUIRE(user);
    spec.process.uid = user->uid;
    spec.process.gid = user->gid;
    spec.process.additional_gids = user->additional_gids;
    spec.process.working_directory = "/srv/deep";
    spec.process.umask = 027;
    spec.process.resource_limits = {{"nofile", RLIMIT_NOFILE, 123, 456}};
    const std::string output = output_of(spec, rootfs);
    CHECK_THAT(output, Catch::StartsWith("1000\n1000\n1000 50\n/srv/deep\n0027\n123\n0\n"));
    CHECK(has_line(output, "CapEff:\t0000000000000000"));
    CHECK(has_line(output, "CapPrm:\t0000000000000000"));
    CHECK(has_line(output, "CapBnd:\t00000000a80425fb"));
    CHECK(has_line(output, "again"));
}

TEST_CASE("an ambient capability reaches a user who is not root") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("grep Cap /proc/self/status");
    spec.process.uid = 1000;
    const CapabilitySet bind = capability_bit(*capability_number("NET_BIND_SERVICE"));
    spec.process.capabilities.inheritable = bind;
    spec.process.capabilities.ambient = bind;
    const std::string output = output_of(spec, rootfs);
    CHECK(has_line(output, "CapEff:\t0000000000000400"));
    CHECK(has_line(output, "CapAmb:\t0000000000000400"));
}

TEST_CASE("no_new_privs") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("cat /proc/self/status");
    spec.process.no_new_privileges = true;
    const std::string output = output_of(spec, rootfs);
    CHECK(has_line(output, "NoNewPrivs:\t1"));
    CHECK(has_line(output, "Seccomp:\t2"));
    CHECK(has_line(output, "CapEff:\t00000000a80425fb"));
}

TEST_CASE("a limit that cannot be raised is clamped with a warning") {
    require_root();

    struct rlimit current {};

    REQUIRE(::getrlimit(RLIMIT_NOFILE, &current) == 0);
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("ulimit -Hn");
    spec.process.resource_limits = {
        {"nofile", RLIMIT_NOFILE, current.rlim_max + 1, current.rlim_max + 1}};
    const Outcome outcome = run(spec, rootfs);
    REQUIRE_FALSE(outcome.error);
    const bool may_raise =
        (capabilities_available() & capability_bit(*capability_number("SYS_RESOURCE"))) != 0;
    CHECK(outcome.output == std::to_string(current.rlim_max + (may_raise ? 1 : 0)) + "\n");
    CHECK(outcome.warnings.size() == (may_raise ? 0 : 1));
}

TEST_CASE("bind mounts of a directory and of files") {
    require_root();
    const Rootfs rootfs;
    const Rootfs host;
    host.file("volume/data", "from host\n");
    host.file("hosts", "127.0.0.1 me\n");
    rootfs.symlink("../elsewhere/hosts", "etc/hosts");
    rootfs.directory("elsewhere");
    ContainerSpec spec = spec_for_shell(
        "cat /srv/volume/data /elsewhere/hosts /etc/new/file; (touch /srv/volume/x) 2>&1; touch "
        "/rw/x && echo ok");
    const auto bind = [&](const std::string& source, const std::string& target, bool readonly) {
        Mount mount;
        mount.kind = MountKind::bind;
        mount.source = host.path() + "/" + source;
        mount.target = target;
        mount.attributes = readonly ? MOUNT_ATTR_RDONLY : 0;
        spec.mounts.push_back(mount);
    };
    bind("volume", "/srv/volume", true);
    bind("volume", "/rw", false);
    bind("hosts", "/etc/hosts", true);
    bind("hosts", "/etc/new/file", true);
    const std::string output = output_of(spec, rootfs);
    CHECK_THAT(output, Contains("from host\n127.0.0.1 me\n127.0.0.1 me\n"));
    CHECK_THAT(output, Contains("/srv/volume/x: Read-only file system"));
    CHECK(has_line(output, "ok"));
    CHECK(::access((host.path() + "/volume/x").c_str(), F_OK) == 0);
}

TEST_CASE("a prepared mount is passed by descriptor") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell("grep ' /ready ' /proc/self/mounts");
    Mount mount;
    mount.kind = MountKind::prepared;
    mount.target = "/ready";
    spec.mounts.push_back(mount);
    const std::vector<MountOption> options = {{"size", "1m"}, {"source", "mine"}};
    const auto tmpfs = mount_fs_detached("tmpfs", options, MOUNT_ATTR_NOSUID);
    REQUIRE(tmpfs);
    const Fd root = rootfs.mount();
    const Outcome outcome = run_with(spec, root, {tmpfs->get()});
    CHECK_FALSE(outcome.error);
    CHECK_THAT(outcome.output,
               Catch::StartsWith("mine /ready tmpfs rw,nosuid,relatime,size=1024k"));
}

TEST_CASE("a read-only root, a sysctl, an oom score") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec = spec_for_shell(
        "(touch /x) 2>&1; touch /dev/shm/x && echo shm; cat /proc/sys/net/ipv4/ip_forward "
        "/proc/self/oom_score_adj");
    spec.rootfs_readonly = true;
    spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
    spec.process.oom_score_adjust = 500;
    const std::string output = output_of(spec, rootfs);
    CHECK_THAT(output, Contains("/x: Read-only file system"));
    CHECK_THAT(output, Contains("shm\n1\n500\n"));
}

TEST_CASE("a terminal of its own") {
    require_root();
    const Rootfs rootfs;
    ContainerSpec spec =
        spec_for_shell("tty; stat -c %u $(tty); stty size; test -t 0 -a -t 1 -a -t 2 && echo tty");
    rootfs.symlink("busybox", "bin/stty");
    spec.process.uid = 1000;
    spec.process.terminal = true;
    spec.process.terminal_width = 100;
    spec.process.terminal_height = 30;
    const std::string output = output_of(spec, rootfs);
    CHECK(output == "/dev/pts/0\r\n1000\r\n30 100\r\ntty\r\n");
}

TEST_CASE("PATH is searched inside the container") {
    require_root();
    const Rootfs rootfs;
    rootfs.file("opt/tool", "#!/bin/sh\necho tool $1\n", 0755);
    rootfs.file("first/tool", "not executable\n", 0644);
    rootfs.directory("second/tool");
    ContainerSpec spec = spec_for({"tool", "x"});
    spec.process.environment = {"PATH=/first:/second:/opt:/bin"};
    CHECK(output_of(spec, rootfs) == "tool x\n");
}

TEST_CASE("nothing is left behind") {
    require_root();
    const auto count = [](const char* path) {
        const auto text = file_read(path, 16 * 1024 * 1024);
        REQUIRE(text);
        return std::count(text->begin(), text->end(), '\n');
    };
    const auto mounts = count("/proc/self/mountinfo");

    struct stat before {};

    REQUIRE(::stat("/proc/self/fd", &before) == 0);
    {
        const Rootfs rootfs;
        for (int round = 0; round < 20; ++round) {
            CHECK(run(spec_for_shell("exit 0"), rootfs).status.value == 0);
        }
    }

    struct stat after {};

    REQUIRE(::stat("/proc/self/fd", &after) == 0);
    CHECK(before.st_size == after.st_size);  // Descriptors of this process.
    CHECK(count("/proc/self/mountinfo") == mounts);
    siginfo_t info{};
    CHECK(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == -1);  // No child.
}

}  // namespace davit::test
