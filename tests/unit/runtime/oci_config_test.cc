// Goal: a bundle's config.json means what the specification says, and what davit cannot do is
// refused by name. Method: a whole configuration, and the same with one member changed.
#include "runtime/oci_config.h"

#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/unit/runtime/runtime_support.h"

using namespace davit;
using namespace davit::test;

TEST_CASE("a whole configuration", "[runtime]") {
    const OciConfig config = config_of(bundle_config());
    const ContainerSpec& spec = config.spec;
    CHECK(config.root == "rootfs");
    CHECK(spec.rootfs_readonly);
    CHECK(spec.hostname == "box");
    CHECK(config.annotations.at("org.example") == "yes");
    CHECK(config.cgroups_path == "/parent/box");
    CHECK(spec.process.arguments == std::vector<std::string>{"sh", "-c", "id"});
    CHECK(spec.process.working_directory == "/tmp");
    CHECK(spec.process.uid == 5);
    CHECK(spec.process.gid == 6);
    CHECK(spec.process.additional_gids == std::vector<std::uint32_t>{7, 8});
    CHECK(spec.process.umask == mode_t{027});
    CHECK(spec.process.no_new_privileges);
    CHECK(spec.process.oom_score_adjust == 100);
    REQUIRE(spec.process.resource_limits.size() == 1);
    CHECK(spec.process.resource_limits[0].name == "nofile");
    CHECK(spec.process.resource_limits[0].soft == 512);
    CHECK(spec.process.capabilities.bounding == capability_bit(CAP_KILL));
    CHECK(spec.process.capabilities.effective == capability_bit(CAP_KILL));
    CHECK(spec.process.capabilities.inheritable == 0);
    CHECK(spec.namespaces.pid == NamespaceMode::own);
    CHECK(spec.namespaces.network == NamespaceMode::join);
    CHECK(config.paths.network == "/run/netns/x");
    CHECK(spec.namespaces.ipc == NamespaceMode::host);
    CHECK(spec.masked_paths == std::vector<std::string>{"/proc/kcore"});
    CHECK(spec.readonly_paths == std::vector<std::string>{"/proc/sys"});
    CHECK(spec.sysctls.front().first == "net.ipv4.ip_forward");
    CHECK(config.resources.pids_max == 99);
    CHECK(config.hooks.poststop.size() == 1);
    CHECK(config.hooks.poststop[0].timeout_s == 3);
    CHECK(config.hooks.poststop[0].arguments == std::vector<std::string>{"/bin/true"});
    CHECK(config.warnings ==
          std::vector<std::string>{"process.capabilities: CAP_OF_TOMORROW cannot be given here"});
    CHECK_FALSE(spec.process.seccomp_filter.empty());
}

TEST_CASE("default devices, and the bundle's own", "[runtime]") {
    const OciConfig config = config_of(bundle_config());
    const auto path_of = [](const Device& device) { return device.path; };
    std::vector<std::string> paths;
    std::ranges::transform(config.spec.devices, std::back_inserter(paths), path_of);
    CHECK(std::ranges::find(paths, "/dev/urandom") != paths.end());
    CHECK(std::ranges::count(paths, "/dev/null") == 1);
    const auto null = std::ranges::find(config.spec.devices, "/dev/null", &Device::path);
    CHECK(null->mode == (S_IFCHR | 0600));
    CHECK(null->uid == 3);
    const OciConfig own_dev = config_of(bundle_config(
        {{R"("mounts":[)",
          R"("mounts":[{"destination":"/dev","source":"/dev","options":["rbind"]},)"}}));
    CHECK(own_dev.spec.devices.empty());
    CHECK(own_dev.spec.symlinks.empty());
}

TEST_CASE("mounts", "[runtime]") {
    const auto mount = [](const std::string& json) {
        const auto document = JsonDocument::parse(json);
        REQUIRE(document);
        auto parsed = oci_mount_parse(document->root());
        INFO(failure(parsed));
        REQUIRE(parsed);
        return *std::move(parsed);
    };
    const Mount proc = mount(R"({"destination":"/proc","type":"proc","source":"proc"})");
    CHECK(proc.kind == MountKind::filesystem);
    CHECK(proc.no_symlink);
    CHECK(proc.source.empty());
    const Mount tmpfs = mount(
        R"({"destination":"tmp","type":"tmpfs","source":"x","options":["nosuid","ro","mode=755","size=1k","newinstance","rw"]})");
    CHECK(tmpfs.target == "/tmp");
    CHECK(tmpfs.source == "x");
    CHECK(tmpfs.attributes == MOUNT_ATTR_NOSUID);
    CHECK(tmpfs.options == std::vector<std::pair<std::string, std::string>>{
                               {"mode", "755"}, {"size", "1k"}, {"newinstance", ""}});
    const Mount bind = mount(
        R"({"destination":"/b","type":"none","source":"/a","options":["rbind","ro","rprivate","exec","noatime"]})");
    CHECK(bind.kind == MountKind::bind);
    CHECK(bind.recursive);
    CHECK_FALSE(bind.attributes_recursive);
    CHECK(bind.attributes == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME));
    CHECK(bind.attributes_clear == (MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME));
    CHECK(bind.propagation == MS_PRIVATE);
    const Mount recursive =
        mount(R"({"destination":"/b","source":"/a","options":["rbind","rro","rslave"]})");
    CHECK(recursive.attributes_recursive);
    CHECK(recursive.attributes == MOUNT_ATTR_RDONLY);
    CHECK(recursive.propagation == MS_SLAVE);
    CHECK_FALSE(mount(R"({"destination":"/b","type":"bind","source":"/a"})").recursive);
    CHECK(mount(R"({"destination":"/sys/fs/cgroup","type":"cgroup2","options":["ro"]})").kind ==
          MountKind::cgroup);
}

TEST_CASE("what is wrong is refused by name", "[runtime]") {
    using Change = std::pair<std::string, std::string>;
    const auto refusal = [](const Change& change) {
        return failure(oci_config_parse(bundle_config({change})));
    };
    CHECK(failure(oci_config_parse("{")).starts_with("invalid_argument"));
    CHECK(failure(oci_config_parse("[]")).starts_with("invalid_argument"));
    CHECK(refusal({R"("ociVersion":"1.0.2")", R"("ociVersion":"2.0.0")"}) ==
          "unsupported: config.json: ociVersion 2.0.0: davit does not support it");
    CHECK(refusal({R"("path":"rootfs")", R"("path":"")"}) ==
          "invalid_argument: config.json: root.path is missing");
    CHECK(refusal({R"("args":["sh","-c","id"])", R"("args":[])"}) ==
          "invalid_argument: process.args: must not be empty");
    CHECK(refusal({R"("cwd":"/tmp")", R"("cwd":"tmp")"}) ==
          "invalid_argument: process.cwd: \"tmp\" is not absolute");
    CHECK(refusal({"RLIMIT_NOFILE", "RLIMIT_ODD"}) == "invalid_argument: invalid ulimit type: odd");
    CHECK(refusal({R"({"type":"mount"},)", ""}) ==
          "unsupported: config.json: linux.namespaces: a container in the host's mount namespace: "
          "davit does not support it");
    CHECK(refusal({R"({"type":"pid"})", R"({"type":"pid"},{"type":"user","path":"/x"})"}) ==
          "unsupported: config.json: linux.namespaces: a path for user: davit does not support it");
    CHECK(refusal({R"({"type":"pid"})", R"({"type":"time"})"}) ==
          "unsupported: config.json: linux.namespaces: time: davit does not support it");
    CHECK(refusal({R"({"type":"pid"})", R"({"type":"pid"},{"type":"pid"})"}) ==
          "invalid_argument: config.json: linux.namespaces: pid is there twice");
    CHECK(refusal({R"({"type":"pid"})", R"({"type":"user"})"}) ==
          "invalid_argument: config.json: linux.uidMappings and linux.gidMappings go with a new "
          "user namespace, all three");
    CHECK(refusal({"net.ipv4.ip_forward", "kernel.panic"}) ==
          "invalid_argument: config.json: linux.sysctl: \"kernel.panic\" is not in a namespace of "
          "the container's own");
    CHECK(refusal({"net.ipv4.ip_forward", "kernel.shmmax"}) ==
          "invalid_argument: config.json: linux.sysctl: \"kernel.shmmax\" is not in a namespace of "
          "the container's own");
    CHECK(refusal({R"("rootfsPropagation":"rslave")", R"("rootfsPropagation":"shared")"}) ==
          "unsupported: config.json: linux.rootfsPropagation shared: davit does not support it");
    CHECK(refusal({R"("umask":23)", R"("umask":23},"selinuxLabel":"x","y":{"z":1)"}) ==
          "unsupported: process.selinuxLabel: davit does not support SELinux");
    CHECK(
        refusal({R"("hostname":"box")", R"("hostname":7)"}).starts_with("invalid_argument: json:"));
    CHECK(refusal({"/bin/true", "true"}) ==
          "invalid_argument: config.json: hooks.poststop: path \"true\" is not absolute");
    CHECK(refusal({"SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"}).starts_with("unsupported: "));
}

TEST_CASE("a pid namespace that is joined brings its procfs", "[runtime]") {
    const OciConfig config = config_of(
        bundle_config({{R"({"type":"pid"})", R"({"type":"pid","path":"/proc/1/ns/pid"})"}}));
    CHECK(config.spec.namespaces.pid == NamespaceMode::join);
    CHECK(config.paths.pid == "/proc/1/ns/pid");
    REQUIRE(config.prepared.size() == 1);
    CHECK(config.prepared[0].fstype == "proc");
    CHECK(config.spec.mounts[0].kind == MountKind::prepared);
}

TEST_CASE("a user namespace", "[runtime]") {
    const OciConfig config = config_of(bundle_config(
        {{R"({"type":"pid"})", R"({"type":"user"})"},
         {R"("cgroupsPath")",
          R"("uidMappings":[{"containerID":0,"hostID":1000,"size":10}],)"
          R"("gidMappings":[{"containerID":0,"hostID":2000,"size":10}],"cgroupsPath")"}}));
    CHECK(config.spec.ids.uid_outside(1) == 1001U);
    CHECK(config.spec.ids.gid_outside(1) == 2001U);
}
