// Goal: a record becomes what the kernel must be told, and nothing that was asked for gets lost.
// Method: requests through the merge, one option at a time, looking at the spec and the limits.
#include "jobs/container/spec_build.h"

#include <sys/mount.h>

#include <algorithm>

#include "libcontainer/defaults.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

ContainerRecord prepared(std::string_view body) {
    ContainerRecord record = record_of(body);
    RunConfig image;
    image.cmd = {"/bin/true"};
    image.env = {"PATH=/bin"};
    std::vector<std::string> warnings;
    const auto merged =
        container_merge(record, image, warnings, {.hostname = "metal", .cpu_count = 8});
    INFO(failure(merged));
    REQUIRE(merged);
    record.files_directory = "/run/davit/files/x";
    return record;
}

/// Takes: members of the HostConfig.
ContainerSpec spec_of(const std::string& members, const SpecInputs& inputs = {}) {
    auto spec = spec_build(prepared("{\"HostConfig\":{" + members + "}}"), inputs);
    INFO(failure(spec));
    REQUIRE(spec);
    return *std::move(spec);
}

Resources resources_of(const std::string& members) {
    return resources_build(prepared("{\"HostConfig\":{" + members + "}}"));
}

const Mount* mount_at(const ContainerSpec& spec, std::string_view target) {
    const auto found = std::ranges::find(spec.mounts, target, &Mount::target);
    return found == spec.mounts.end() ? nullptr : &*found;
}

bool has(const std::vector<std::string>& list, std::string_view text) {
    return std::ranges::find(list, text) != list.end();
}

CapabilitySet bit(std::string_view name) {
    return capability_bit(*capability_number(name));
}

}  // namespace

TEST_CASE("a plain container is isolated by all of Docker's means", "[container][spec]") {
    const ContainerSpec spec = spec_of("");
    CHECK(spec.hostname == std::string(12, 'a'));
    CHECK(spec.namespaces.pid == NamespaceMode::own);
    CHECK(spec.namespaces.network == NamespaceMode::own);
    CHECK(spec.namespaces.cgroup == NamespaceMode::own);
    CHECK(has(spec.masked_paths, "/proc/kcore"));
    CHECK(has(spec.readonly_paths, "/proc/sys"));
    CHECK_FALSE(spec.process.seccomp_filter.empty());
    CHECK_FALSE(spec.process.no_new_privileges);
    CHECK(spec.process.capabilities.effective == capabilities_default());
    CHECK(spec.process.arguments == std::vector<std::string>{"/bin/true"});
    CHECK(spec.process.working_directory == "/");
    CHECK(has(spec.process.environment, "PATH=/bin"));
    CHECK(has(spec.process.environment, "HOME=/"));
    REQUIRE(mount_at(spec, "/etc/hosts") != nullptr);
    CHECK(mount_at(spec, "/etc/hosts")->source == "/run/davit/files/x/hosts");
    CHECK(mount_at(spec, "/dev/shm") != nullptr);
}

TEST_CASE("the user decides about capabilities and HOME", "[container][spec]") {
    SpecInputs inputs;
    inputs.user = {.uid = 1000, .gid = 100, .additional_gids = {7}, .home = "/home/web"};
    const ContainerSpec spec = spec_of("", inputs);
    CHECK(spec.process.uid == 1000);
    CHECK(spec.process.gid == 100);
    CHECK(spec.process.additional_gids == std::vector<std::uint32_t>{7});
    CHECK(has(spec.process.environment, "HOME=/home/web"));
    CHECK(spec.process.capabilities.effective == 0);
    CHECK(spec.process.capabilities.permitted == 0);
    CHECK(spec.process.capabilities.bounding == capabilities_default());
}

TEST_CASE("capabilities are added and dropped", "[container][spec]") {
    const CapabilitySet dropped =
        spec_of(R"("CapDrop":["NET_RAW","cap_kill"])").process.capabilities.bounding;
    CHECK(dropped == (capabilities_default() & ~bit("NET_RAW") & ~bit("KILL")));
    CHECK(spec_of(R"("CapAdd":["CHOWN"],"CapDrop":["ALL"])").process.capabilities.bounding ==
          bit("CHOWN"));
}

TEST_CASE("privileged lifts masks, seccomp, devices and capabilities", "[container][spec]") {
    const ContainerSpec spec = spec_of(R"("Privileged":true)");
    CHECK(spec.masked_paths.empty());
    CHECK(spec.readonly_paths.empty());
    CHECK(spec.process.seccomp_filter.empty());
    CHECK(spec.process.capabilities.bounding == capabilities_available());
    CHECK(spec.namespaces.cgroup == NamespaceMode::host);
    CHECK_FALSE(resources_of(R"("Privileged":true)").device_rules.has_value());
    CHECK(resources_of("").device_rules == device_rules_default());
}

TEST_CASE("security options reach the process", "[container][spec]") {
    CHECK(spec_of(R"("SecurityOpt":["no-new-privileges"])").process.no_new_privileges);
    CHECK(spec_of(R"("SecurityOpt":["no-new-privileges:true"])").process.no_new_privileges);
    CHECK_FALSE(spec_of(R"("SecurityOpt":["no-new-privileges=false"])").process.no_new_privileges);
    CHECK(spec_of(R"("SecurityOpt":["seccomp=unconfined"])").process.seccomp_filter.empty());
    CHECK_FALSE(spec_of(R"("SecurityOpt":["seccomp=builtin"])").process.seccomp_filter.empty());
    CHECK(spec_of(R"("SecurityOpt":["systempaths=unconfined"])").masked_paths.empty());
    CHECK(spec_of(R"("MaskedPaths":["/proc/keys"],"ReadonlyPaths":[])").masked_paths ==
          std::vector<std::string>{"/proc/keys"});
    CHECK(spec_of(R"("ReadonlyRootfs":true)").rootfs_readonly);
}

TEST_CASE("a filter that was compiled elsewhere takes the default's place", "[container][spec]") {
    SpecInputs inputs;
    inputs.seccomp = SeccompFilter{.program = "12345678", .flags = 4};
    for (const char* members : {"", R"("Privileged":true)"}) {
        const ProcessSpec process = spec_of(members, inputs).process;
        CHECK(process.seccomp_filter == "12345678");
        CHECK(process.seccomp_flags == 4);
    }
    inputs.seccomp->program.clear();
    CHECK(spec_of("", inputs).process.seccomp_filter.empty());
}

TEST_CASE("an init runs the command where it is asked for", "[container][spec]") {
    using Words = std::vector<std::string>;
    const auto asked = [](const std::string& members, bool init_default) {
        SpecInputs inputs;
        inputs.init_default = init_default;
        const ContainerSpec spec = spec_of(members, inputs);
        const Mount* const mount = mount_at(spec, "/sbin/docker-init");
        const bool runs = spec.process.arguments == Words{"/sbin/docker-init", "--", "/bin/true"};
        CHECK(runs == (mount != nullptr));
        CHECK((runs || spec.process.arguments == Words{"/bin/true"}));
        if (mount != nullptr) {
            CHECK(mount->source == "/run/davit/files/x/docker-init");
            CHECK(mount->attributes == MOUNT_ATTR_RDONLY);
            CHECK(mount->attributes_clear == MOUNT_ATTR_NOEXEC);
        }
        return runs;
    };
    CHECK_FALSE(asked("", false));
    CHECK(asked("", true));
    CHECK(asked(R"("Init":true)", false));
    CHECK_FALSE(asked(R"("Init":false)", true));
    CHECK_FALSE(asked(R"("Init":true,"PidMode":"host")", true));
}

TEST_CASE("shared namespaces are the host's", "[container][spec]") {
    const ContainerSpec spec = spec_of(
        R"("NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host",
           "CgroupnsMode":"host")");
    CHECK(spec.namespaces.pid == NamespaceMode::host);
    CHECK(spec.namespaces.network == NamespaceMode::host);
    CHECK(spec.namespaces.ipc == NamespaceMode::host);
    CHECK(spec.namespaces.uts == NamespaceMode::host);
    CHECK(spec.namespaces.cgroup == NamespaceMode::host);
    CHECK(spec.hostname.empty());  // The host's stays untouched,
    CHECK(has(spec.process.environment, "HOSTNAME=metal"));
    CHECK(spec.sysctls.empty());
    REQUIRE(mount_at(spec, "/dev/shm") != nullptr);
    CHECK(mount_at(spec, "/dev/shm")->kind == MountKind::bind);
    REQUIRE(mount_at(spec, "/dev/mqueue") != nullptr);
    CHECK(mount_at(spec, "/dev/mqueue")->kind == MountKind::filesystem);
    CHECK(mount_at(spec_of(R"("IpcMode":"none")"), "/dev/shm") == nullptr);
}

TEST_CASE("a network of one's own gets Docker's sysctls, below the user's", "[container][spec]") {
    using Sysctls = std::vector<std::pair<std::string, std::string>>;
    CHECK(spec_of("").sysctls == Sysctls{{"net.ipv4.ip_unprivileged_port_start", "0"},
                                         {"net.ipv4.ping_group_range", "0 2147483647"}});
    CHECK(spec_of(R"("Sysctls":{"net.ipv4.ip_unprivileged_port_start":"1024",
                                "kernel.msgmax":"9"})")
              .sysctls == Sysctls{{"kernel.msgmax", "9"},
                                  {"net.ipv4.ip_unprivileged_port_start", "1024"},
                                  {"net.ipv4.ping_group_range", "0 2147483647"}});
}

TEST_CASE("the user's mounts come last and replace defaults", "[container][spec]") {
    const ContainerSpec spec =
        spec_of(R"("Binds":["/s:/etc/hosts:ro"],"Tmpfs":{"/dev/shm":"size=1m"})");
    CHECK(std::ranges::count(spec.mounts, "/etc/hosts", &Mount::target) == 1);
    CHECK(mount_at(spec, "/etc/hosts")->source == "/s");
    CHECK(std::ranges::count(spec.mounts, "/dev/shm", &Mount::target) == 1);
    CHECK(mount_at(spec, "/dev/shm")->options ==
          std::vector<std::pair<std::string, std::string>>{{"size", "1m"}});
}

TEST_CASE("the size of /dev/shm is kept", "[container][spec]") {
    const ContainerSpec spec = spec_of(R"("ShmSize":1048576)");
    REQUIRE(mount_at(spec, "/dev/shm") != nullptr);
    CHECK(std::ranges::find(mount_at(spec, "/dev/shm")->options,
                            std::pair<std::string, std::string>("size", "1048576")) !=
          mount_at(spec, "/dev/shm")->options.end());
}

TEST_CASE("ulimits and the oom score reach the process", "[container][spec]") {
    const ContainerSpec spec = spec_of(
        R"("Ulimits":[{"Name":"nofile","Soft":10,"Hard":20},{"Name":"core","Soft":-1,"Hard":-1}],
           "OomScoreAdj":500,"ConsoleSize":[24,100000])");
    REQUIRE(spec.process.resource_limits.size() == 2);
    CHECK(spec.process.resource_limits[0].resource == RLIMIT_NOFILE);
    CHECK(spec.process.resource_limits[0].soft == 10);
    CHECK(spec.process.resource_limits[0].hard == 20);
    CHECK(spec.process.resource_limits[1].soft == RLIM_INFINITY);
    CHECK(spec.process.oom_score_adjust == 500);
    CHECK(spec.process.terminal_height == 24);
    CHECK(spec.process.terminal_width == 65535);
    CHECK_FALSE(spec_of("").process.oom_score_adjust.has_value());
}

TEST_CASE("only the limits that were asked for are written", "[container][spec]") {
    const Resources none = resources_of("");
    CHECK_FALSE(none.memory_bytes.has_value());
    CHECK_FALSE(none.memory_swap_bytes.has_value());
    CHECK_FALSE(none.cpu_quota_us.has_value());
    CHECK_FALSE(none.pids_max.has_value());
    CHECK_FALSE(none.cpuset_cpus.has_value());
    CHECK_FALSE(none.blkio_weight.has_value());
}

TEST_CASE("devices take the place of default ones", "[container][spec]") {
    SpecInputs inputs;
    inputs.devices.nodes = {
        {.path = "/dev/fuse", .mode = S_IFCHR | 0600, .major = 10, .minor = 229},
        {.path = "/dev/null", .mode = S_IFCHR | 0600, .major = 1, .minor = 3}};
    const ContainerSpec spec = spec_of("", inputs);
    CHECK(std::ranges::count(spec.devices, "/dev/fuse", &Device::path) == 1);
    CHECK(std::ranges::count(spec.devices, "/dev/null", &Device::path) == 1);
    CHECK(spec.devices.back().mode == (S_IFCHR | 0600));
}

TEST_CASE("device rules add to the default ones", "[container][spec]") {
    const ContainerRecord record = prepared(R"({"HostConfig":{"DeviceCgroupRules":["b 8:* r"]}})");
    const ContainerDevices devices{.nodes = {},
                                   .rules = {{.major = 10, .minor = 229, .read = true}},
                                   .block_limits = {.read_bps = {{8, 0, 1000}}}};
    const Resources resources = resources_build(record, devices);
    std::vector<DeviceRule> expected = device_rules_default();
    expected.push_back({.major = 10, .minor = 229, .read = true});
    expected.push_back({.type = DeviceRule::Type::block, .major = 8, .read = true});
    CHECK(resources.device_rules == expected);
    CHECK(resources.block_limits.read_bps.size() == 1);
}

TEST_CASE("limits become the kernel's", "[container][spec]") {
    const Resources limits = resources_of(
        R"("Memory":8388608,"MemoryReservation":6291456,"NanoCpus":1500000000,"CpuShares":512,
           "CpusetCpus":"0","CpusetMems":"0","PidsLimit":9,"BlkioWeight":300)");
    CHECK(limits.memory_bytes == 8388608);
    CHECK(limits.memory_swap_bytes == 2 * 8388608);
    CHECK(limits.memory_reservation_bytes == 6291456);
    CHECK(limits.cpu_period_us == 100'000U);
    CHECK(limits.cpu_quota_us == 150'000);
    CHECK(limits.cpu_shares == 512U);
    CHECK(limits.cpuset_cpus == "0");
    CHECK(limits.cpuset_mems == "0");
    CHECK(limits.pids_max == 9);
    CHECK(limits.blkio_weight == 300);
    CHECK(resources_of(R"("Memory":8388608,"MemorySwap":-1)").memory_swap_bytes == -1);
    CHECK(resources_of(R"("CpuPeriod":5000,"CpuQuota":-1)").cpu_quota_us == -1);
    CHECK(resources_of(R"("NanoCpus":1)").cpu_quota_us == 1000);  // The kernel's least.
    CHECK_FALSE(resources_of(R"("PidsLimit":-1)").pids_max.has_value());
}

TEST_CASE("namespaces of others come with their /proc and /dev/shm, before the volumes",
          "[container][spec]") {
    SpecInputs inputs;
    inputs.joins_ipc = true;
    inputs.joins_pid = true;
    const std::string modes = R"("PidMode":"container:db","IpcMode":"container:db")";
    const ContainerSpec spec = spec_of(modes, inputs);
    CHECK(spec.namespaces.pid == NamespaceMode::join);
    CHECK(spec.namespaces.ipc == NamespaceMode::join);
    CHECK(spec.namespaces.uts == NamespaceMode::own);
    std::vector<std::string> prepared;
    for (const Mount& mount : spec.mounts) {
        if (mount.kind == MountKind::prepared) {
            prepared.push_back(mount.target);
        }
    }
    CHECK(prepared == std::vector<std::string>{"/proc", "/dev/shm"});
    REQUIRE(mount_at(spec, "/dev/mqueue") != nullptr);
    CHECK(mount_at(spec, "/dev/mqueue")->fstype == "mqueue");

    const ContainerSpec own = spec_of(modes + R"(,"Tmpfs":{"/dev/shm":""})", inputs);
    REQUIRE(mount_at(own, "/dev/shm") != nullptr);
    CHECK(mount_at(own, "/dev/shm")->kind == MountKind::filesystem);
    CHECK(std::ranges::count(own.mounts, "/dev/shm", &Mount::target) == 1);

    // An exec, or a copy of files, has no namespace to give: the container's is asked for there.
    const ContainerSpec stopped = spec_of(modes);
    CHECK(stopped.namespaces.pid == NamespaceMode::own);
    CHECK(mount_at(stopped, "/proc")->fstype == "proc");
}

TEST_CASE("which profile a container asks for", "[container][seccomp]") {
    const auto wanted = [](const std::string& members, std::string_view fallback) {
        const HostConfig host = record_of("{\"HostConfig\":{" + members + "}}").host_config;
        return std::string(seccomp_wanted(host, fallback));
    };
    CHECK(wanted("", "builtin") == "builtin");
    CHECK(wanted("", "{}") == "{}");
    CHECK(wanted(R"("SecurityOpt":["seccomp="])", "{}") == "{}");
    CHECK(wanted(R"("SecurityOpt":["seccomp=builtin"])", "{}") == "builtin");
    CHECK(wanted(R"("SecurityOpt":["label=disable","seccomp:unconfined"])", "{}") == "unconfined");
    CHECK(wanted(R"("SecurityOpt":["seccomp=builtin","seccomp={\"a\":\"b=c\"}"])", "builtin") ==
          R"({"a":"b=c"})");
    CHECK(wanted(R"("Privileged":true)", "{}") == "unconfined");
    CHECK(wanted(R"("Privileged":true,"SecurityOpt":["seccomp={}"])", "builtin") == "{}");
}
