// Goal: the host's half of a configuration is read and written as Docker does, and whatever davit
// does not do is refused by name. Method: requests of three clients; inspect's text key by key; one
// bad or unsupported value at a time.
#include "jobs/container/host_config.h"

#include "tests/unit/jobs/container/create_bodies.h"
#include "tests/unit/jobs/container/model_support.h"

using namespace davit;
using namespace davit::test;

namespace {

std::string written(const HostConfig& config) {
    std::string text;
    JsonWriter json(text);
    host_config_write(json, config);
    return text;
}

/// Takes: members of a HostConfig, without braces.
std::string check(const std::string& members, int cpu_count = 2) {
    return failure(host_config_check(host_config_of("{" + members + "}"), cpu_count));
}

std::vector<std::string> warnings(const std::string& members) {
    auto checked = host_config_check(host_config_of("{" + members + "}"), 2);
    REQUIRE(checked);
    return *std::move(checked);
}

}  // namespace

TEST_CASE("the docker CLI's defaults ask for nothing", "[container][host_config]") {
    const HostConfig config = record_of(docker_cli_body).host_config;
    CHECK(config.unsupported.empty());
    CHECK(config.binds == std::vector<std::string>{"/src:/work:ro"});
    CHECK(config.auto_remove);
    CHECK(config.memory == 256 * 1024 * 1024);
    CHECK(config.console_size == std::array<std::uint32_t, 2>{24, 80});
    CHECK(config.memory_swappiness == -1);
    CHECK(config.pids_limit == 0);
    CHECK_FALSE(config.masked_paths.has_value());
    CHECK(failure(host_config_check(config, 2)).empty());
}

TEST_CASE("docker-py's and testcontainers' requests are read", "[container][host_config]") {
    const HostConfig python = record_of(docker_py_body).host_config;
    CHECK(python.tmpfs.at("/run") == "size=1m");
    CHECK(python.ulimits == std::vector<Ulimit>{{"nofile", 1024, 2048}});
    CHECK(python.memory_swap == 0);
    const HostConfig java = record_of(testcontainers_body).host_config;
    CHECK(java.network_mode == "none");
    CHECK_FALSE(java.memory_swappiness.has_value());
    CHECK(failure(host_config_check(java)).empty());
}

TEST_CASE("an absent HostConfig is all defaults", "[container][host_config]") {
    CHECK(record_of(R"({"Image":"x"})").host_config == HostConfig{});
}

TEST_CASE("inspect's HostConfig has every key that Docker gives", "[container][host_config]") {
    HostConfig config;
    host_config_complete(config, false);
    config.masked_paths = {"/proc/acpi"};
    config.readonly_paths = std::vector<std::string>{};
    CHECK(written(config) ==
          R"({"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"json-file","Config":{}},)"
          R"("NetworkMode":"bridge","PortBindings":{},)"
          R"("RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,)"
          R"("VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,)"
          R"("CapDrop":null,"CgroupnsMode":"private","Dns":[],"DnsOptions":[],"DnsSearch":[],)"
          R"("ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,)"
          R"("OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,)"
          R"("ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"",)"
          R"("ShmSize":67108864,"Runtime":"davit","Isolation":"","CpuShares":0,"Memory":0,)"
          R"("NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],)"
          R"("BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],)"
          R"("BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,)"
          R"("CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],)"
          R"("DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,)"
          R"("MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,)"
          R"("Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,)"
          R"("MaskedPaths":["/proc/acpi"],"ReadonlyPaths":[]})");
}

TEST_CASE("a HostConfig reads back as written", "[container][host_config]") {
    HostConfig config = host_config_of(R"({
        "Binds":["/a:/b"],"NetworkMode":"host","RestartPolicy":{"Name":"on-failure",
        "MaximumRetryCount":3},"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},
        "ConsoleSize":[3,4],"Annotations":{"k":"v"},"CapAdd":["NET_ADMIN"],"Dns":["1.1.1.1"],
        "ExtraHosts":["a:10.0.0.1"],"GroupAdd":["docker"],"OomScoreAdj":-5,"Privileged":true,
        "SecurityOpt":["seccomp=unconfined"],"Tmpfs":{"/t":"ro"},"UTSMode":"host","ShmSize":4096,
        "Sysctls":{"net.core.somaxconn":"9"},"CpuShares":7,"Memory":8388608,"NanoCpus":9,
        "CgroupParent":"/p","BlkioWeight":500,"CpuPeriod":1000,"CpuQuota":2000,"CpusetCpus":"0",
        "MemorySwap":-1,"MemorySwappiness":60,"OomKillDisable":true,"PidsLimit":5,
        "Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/f","CgroupPermissions":"r"}],
        "DeviceCgroupRules":["c 1:3 r"],"BlkioWeightDevice":[{"Path":"/dev/sda","Weight":20}],
        "BlkioDeviceReadBps":[{"Path":"/dev/sda","Rate":1048576}],
        "BlkioDeviceWriteIOps":[{"Path":"/dev/sda","Rate":9}],
        "Ulimits":[{"Name":"core","Soft":-1,"Hard":-1}],"Init":false,"MaskedPaths":[],
        "ReadonlyPaths":["/proc/sys"],"Mounts":[
          {"Type":"bind","Source":"/s","Target":"/t2","ReadOnly":true,"Consistency":"cached",
           "BindOptions":{"Propagation":"rslave","NonRecursive":true,"CreateMountpoint":true}},
          {"Type":"tmpfs","Target":"/t3","TmpfsOptions":{"SizeBytes":4096,"Mode":448}}]})");
    CHECK(config.mounts.size() == 2);
    CHECK(config.mounts[1].tmpfs_options->mode == 0700);
    CHECK(config.devices.at(0).cgroup_permissions == "r");
    CHECK(config.blkio_weight_device.at(0).weight == 20);
    CHECK(config.blkio_device_read_bps.at(0).rate == 1'048'576);
    CHECK(host_config_of(written(config)) == config);
    host_config_complete(config, false);
    CHECK(host_config_of(written(config)) == config);
}

TEST_CASE("numbers out of their type's range are refused", "[container][host_config]") {
    for (const std::string_view json :
         {R"({"BlkioWeight":70000})", R"({"BlkioWeight":-1})", R"({"ConsoleSize":[-1,2]})"}) {
        const auto document = JsonDocument::parse(json);
        REQUIRE(document);
        CHECK_THAT(failure(host_config_parse(document->root())), Catch::Contains("out of range"));
    }
    CHECK(host_config_of(R"({"ConsoleSize":[1]})").console_size ==
          std::array<std::uint32_t, 2>{1, 0});
}

TEST_CASE("memory and CPU limits are checked in Docker's words", "[container][host_config]") {
    const auto [members, text] = GENERATE(table<std::string, std::string>({
        {R"("Memory":1048576)", "Minimum memory limit allowed is 6MB"},
        {R"("Memory":-1)", "Minimum memory limit allowed is 6MB"},
        {R"("Memory":8388608,"MemorySwap":8388607)",
         "Minimum memoryswap limit should be larger than memory limit, see usage"},
        {R"("MemorySwap":8388608)",
         "You should always set the Memory limit when using Memoryswap limit, see usage"},
        {R"("MemorySwap":-2)", "Invalid value -2 for memory swap: -1 means unlimited"},
        {R"("MemorySwappiness":101)", "Invalid value: 101, valid memory swappiness range is 0-100"},
        {R"("MemoryReservation":1)", "Minimum memory reservation allowed is 6MB"},
        {R"("Memory":8388608,"MemoryReservation":8388609)",
         "Minimum memory limit can not be less than memory reservation limit, see usage"},
        {R"("OomScoreAdj":1001)", "Invalid value 1001, range for oom score adj is [-1000, 1000]"},
        {R"("NanoCpus":1,"CpuPeriod":1000)",
         "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
        {R"("NanoCpus":1,"CpuQuota":1000)",
         "Conflicting options: Nano CPUs and CPU Quota cannot both be set"},
        {R"("NanoCpus":2000000001)",
         "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"},
        {R"("CpuPeriod":999)",
         "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
        {R"("CpuQuota":999)", "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
        {R"("BlkioWeight":9)", "Range of blkio weight is from 10 to 1000"},
        {R"("CpusetCpus":"1-0")", "Invalid value 1-0 for cpuset cpus"},
        {R"("CpusetCpus":"0-2")",
         "Requested CPUs are not available - requested 0-2, available: 0-1"},
        {R"("CpusetMems":"x")", "Invalid value x for cpuset mems"},
        {R"("ShmSize":-1)", "SHM size can not be less than 0"},
    }));
    CHECK(check(members) == "invalid_argument: " + text);
}

TEST_CASE("limits that can be had pass", "[container][host_config]") {
    CHECK(check(R"("Memory":6291456,"MemorySwap":-1,"MemoryReservation":6291456)").empty());
    CHECK(
        check(R"("NanoCpus":2000000000,"CpuShares":2,"CpusetCpus":"0,1","PidsLimit":-1)").empty());
    CHECK(check(R"("NanoCpus":64000000000)", 0).empty());
    CHECK(check(R"("CpuPeriod":100000,"CpuQuota":-1,"BlkioWeight":1000,"OomKillDisable":false)")
              .empty());
}

TEST_CASE("policies, names and modes are checked in Docker's words", "[container][host_config]") {
    const auto [members, text] = GENERATE(table<std::string, std::string>({
        {R"("RestartPolicy":{"Name":"sometimes"})",
         "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', "
         "'on-failure', or 'unless-stopped'"},
        {R"("RestartPolicy":{"Name":"no","MaximumRetryCount":1})",
         "invalid restart policy: maximum retry count can only be used with 'on-failure'"},
        {R"("RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-1})",
         "invalid restart policy: maximum retry count cannot be negative"},
        {R"("AutoRemove":true,"RestartPolicy":{"Name":"always"})",
         "can't create 'AutoRemove' container with restart policy"},
        {R"("StorageOpt":{"odd":"1"})", "Unknown option odd"},
        {R"("StorageOpt":{"size":"many"})", "invalid size: 'many'"},
        {R"("Runtime":"runsc")", "unknown or invalid runtime name: runsc"},
        {R"("Isolation":"hyperv")", "invalid isolation 'hyperv' on linux"},
        {R"("Annotations":{"":"v"})",
         "invalid Annotations: the empty string is not permitted as an annotation key"},
        {R"("IpcMode":"own")", "invalid IPC mode: own"},
        {R"("PidMode":"own")", "invalid PID mode: own"},
        {R"("UTSMode":"own")", "invalid UTS mode: own"},
        {R"("CgroupnsMode":"own")", "invalid cgroup namespace mode: own"},
        {R"("UsernsMode":"own")", "invalid user namespace mode: own"},
        {R"("ExtraHosts":["nothing"])", "bad format for add-host: \"nothing\""},
        {R"("ExtraHosts":["a:1.2.3"])", "invalid IP address in add-host: \"1.2.3\""},
        {R"("Dns":["one.one"])", "one.one is not an ip address"},
        {R"("NetworkMode":"host","Links":["db:db"])",
         "conflicting options: host type networking can't be used with links. This would result in "
         "undefined behavior"},
        {R"("Ulimits":[{"Name":"nofile","Soft":9,"Hard":8}])",
         "ulimit soft limit must be less than or equal to hard limit: 9 > 8"},
        {R"("Sysctls":{"kernel.panic":"1"})",
         "sysctl \"kernel.panic\" is not in a separate kernel namespace"},
        {R"("Sysctls":{"net.//.kernel.panic":"1"})",
         "sysctl \"net.//.kernel.panic\" is not in a separate kernel namespace"},
        {R"("NetworkMode":"host","Sysctls":{"net.core.somaxconn":"1"})",
         "sysctl \"net.core.somaxconn\" not allowed in host network namespace"},
        {R"("IpcMode":"host","Sysctls":{"kernel.msgmax":"1"})",
         "sysctl \"kernel.msgmax\" is not allowed in the hosts ipc namespace"},
        {R"("MaskedPaths":["proc"])", "masked and read-only paths must be absolute: \"proc\""},
    }));
    CHECK(check(members) == "invalid_argument: " + text);
}

TEST_CASE("an unknown capability or ulimit is refused", "[container][host_config]") {
    CHECK_THAT(check(R"("CapAdd":["FLY"])"), Catch::StartsWith("invalid_argument: "));
    CHECK_THAT(check(R"("Ulimits":[{"Name":"patience","Soft":1,"Hard":1}])"),
               Catch::StartsWith("invalid_argument: "));
    CHECK(check(R"("CapAdd":["CAP_KILL","net_raw"],"CapDrop":["ALL"])").empty());
    CHECK(check(R"("Ulimits":[{"Name":"core","Soft":-1,"Hard":-1}])").empty());
}

TEST_CASE("a device that cannot be meant is refused", "[container][host_config]") {
    const auto [members, text] = GENERATE(table<std::string, std::string>({
        {R"("Devices":[{"PathOnHost":"fuse"}])",
         "invalid device mapping: fuse is not an absolute path"},
        {R"("Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"fuse"}])",
         "invalid device mapping: fuse is not an absolute path"},
        {R"("Devices":[{"PathOnHost":"/dev/fuse","CgroupPermissions":"rx"}])",
         "invalid device mode: rx"},
        {R"("DeviceCgroupRules":["c 1:3"])", "invalid device cgroup rule format: 'c 1:3'"},
        {R"("CpuRealtimePeriod":1000,"CpuRealtimeRuntime":1001)",
         "cpu real-time runtime cannot be higher than cpu real-time period"},
        {R"("BlkioWeightDevice":[{"Path":"/dev/sda","Weight":5}])",
         "invalid weight for device /dev/sda: its range is 10 to 1000"},
    }));
    CHECK(check(members) == "invalid_argument: " + text);
}

TEST_CASE("what davit does not do is named, with its value and a way out",
          "[container][host_config]") {
    const auto [members, text] = GENERATE(table<std::string, std::string>({
        {R"("KernelMemory":5)",
         R"(KernelMemory "5" is not supported by davit yet: leave the option out)"},
        {R"("LogConfig":{"Type":"gelf"})",
         R"(LogConfig.Type "gelf" is not supported by davit yet: use json-file, local, journald, )"
         "syslog or none"},
    }));
    CHECK(check(members) == "unsupported: " + text);
}

TEST_CASE("a long value is cut in the message", "[container][host_config]") {
    const std::string text = check("\"SecurityOpt\":[\"label=" + std::string(9000, 'x') + "\"]");
    CHECK_THAT(text, Catch::StartsWith("unsupported: SecurityOpt \"label=xxx"));
    CHECK(text.size() < 400);
}

TEST_CASE("values that say nothing are not asked for", "[container][host_config]") {
    CHECK(check(R"("Devices":[],"DeviceRequests":null,"KernelMemory":0,"CpuPercent":0,)"
                R"("BlkioDeviceReadBps":[],"IOMaximumIOps":0,"SomethingNew":{"a":1})")
              .empty());
}

TEST_CASE("namespaces are the host's, another container's, or none that there is",
          "[container][host_config]") {
    const auto [key, name, good, bad] = GENERATE(
        table<std::string, std::string, std::vector<std::string>, std::vector<std::string>>({
            {"PidMode", "PID", {"", "host", "container:db"}, {"container:", "private", "db"}},
            {"IpcMode",
             "IPC",
             {"", "host", "none", "private", "shareable", "container:db"},
             {"container:", "container"}},
            {"UTSMode", "UTS", {"", "host"}, {"private", "container:db"}},
        }));
    const auto member = [&](const std::string& mode) { return "\"" + key + "\":\"" + mode + "\""; };
    for (const std::string& mode : good) {
        CHECK(check(member(mode)).empty());
    }
    for (const std::string& mode : bad) {
        CHECK(check(member(mode)) == "invalid_argument: invalid " + name + " mode: " + mode);
    }
}

TEST_CASE("a container ends with its first process only in a pid namespace of its own",
          "[container][host_config]") {
    HostConfig config;
    CHECK(has_own_pid_namespace(config));
    config.pid_mode = "host";
    CHECK_FALSE(has_own_pid_namespace(config));
    config.pid_mode = "container:db";
    CHECK_FALSE(has_own_pid_namespace(config));
    CHECK(container_of_mode("container:db") == "db");
    CHECK(container_of_mode("host").empty());
}

TEST_CASE("ports beside the host's network are told to be useless", "[container][host_config]") {
    CHECK(warnings(R"("NetworkMode":"none")").empty());
    CHECK(warnings(R"("NetworkMode":"default")").empty());
    CHECK(warnings(R"("NetworkMode":"host","PortBindings":{"80/tcp":[]})") ==
          std::vector<std::string>{"Published ports are discarded when using host network mode"});
}

TEST_CASE("another container's network excludes what would change it", "[container][host_config]") {
    CHECK(check(R"("NetworkMode":"container:db")").empty());
    const auto [members, text] = GENERATE(table<std::string, std::string>({
        {R"("PublishAllPorts":true)", "port publishing and the container type network mode"},
        {R"("Dns":["1.1.1.1"])", "dns and the network mode"},
        {R"("ExtraHosts":["a:1.1.1.1"])", "custom host-to-IP mapping and the network mode"},
    }));
    CHECK(check(R"("NetworkMode":"container:db",)" + members) ==
          "invalid_argument: conflicting options: " + text);
}

TEST_CASE("ports are checked where they are asked for", "[container][host_config]") {
    CHECK(check(R"("PortBindings":{"80/tcp":[{"HostPort":"8080"}]})").empty());
    CHECK(check(R"("PortBindings":{"80":[{"HostIp":"127.0.0.1","HostPort":"1-9"}]})").empty());
    CHECK(check(R"("ExtraHosts":["host.docker.internal:host-gateway"])").empty());
    for (const char* bindings : {R"("x/tcp":[{}])",
                                 R"("0/tcp":[{}])",
                                 R"("80/tcp":[{"HostPort":"70000"}])",
                                 R"("80/tcp":[{"HostPort":"9-8"}])",
                                 R"("80/icmp":[{}])",
                                 R"("80/tcp":[{"HostIp":"localhost"}])"}) {
        CHECK_THAT(check(R"("PortBindings":{)" + std::string(bindings) + "}"),
                   Catch::StartsWith("invalid_argument: "));
    }
    CHECK_THAT(check(R"("PortBindings":{"80/sctp":[{}]})"), Catch::StartsWith("unsupported: "));
    CHECK(check(R"("PortBindings":{"80/tcp":[{"HostIp":"::1"}]})").empty());
}

TEST_CASE("log drivers and options that nobody has are refused as by Docker",
          "[container][host_config]") {
    CHECK(check(R"("LogConfig":{"Type":"nope"})") ==
          R"(invalid_argument: error looking up logging plugin nope: plugin "nope" not found)");
    CHECK(check(R"("LogConfig":{"Type":"json-file","Config":{"nope":"1"}})") ==
          "invalid_argument: unknown log opt 'nope' for json-file log driver");
    CHECK(check(R"("LogConfig":{"Type":"none","Config":{"whatever":"1"}})").empty());
    CHECK(check(R"("LogConfig":{"Type":"json-file"})").empty());
}

TEST_CASE("security options that davit has pass", "[container][host_config]") {
    CHECK(check(R"("SecurityOpt":["no-new-privileges","seccomp=unconfined","apparmor:unconfined",)"
                R"("label=disable","systempaths=unconfined"],"Privileged":true)")
              .empty());
    CHECK(check(R"("SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"])").empty());
    CHECK(check(R"("Init":true)").empty());
    CHECK_THAT(check(R"("SecurityOpt":["apparmor"])"),
               Catch::StartsWith("unsupported: SecurityOpt \"apparmor\""));
    CHECK(check(R"("SecurityOpt":["apparmor=docker-default"])").empty());
    CHECK(check(R"("SecurityOpt":["apparmor=a\nb"])") ==
          "invalid_argument: invalid name of an AppArmor profile");
    CHECK(apparmor_profile_of(host_config_of(R"({"SecurityOpt":["apparmor=a"]})")) == "a");
    CHECK(apparmor_profile_of(host_config_of(
              R"({"SecurityOpt":["apparmor=a","apparmor:b","no-new-privileges"]})")) == "b");
}

TEST_CASE("Docker's defaults are filled in", "[container][host_config]") {
    HostConfig config = record_of(docker_cli_body).host_config;
    host_config_complete(config, false);
    CHECK(config.network_mode == "bridge");
    CHECK(config.log_config.type == "json-file");
    CHECK(config.memory_swap == 2 * config.memory);
    CHECK_FALSE(config.pids_limit.has_value());
    CHECK_FALSE(config.memory_swappiness.has_value());
    CHECK(config.oom_kill_disable == false);
    REQUIRE(config.masked_paths.has_value());
    CHECK_FALSE(config.masked_paths->empty());

    HostConfig unlimited = host_config_of(R"({"Memory":8388608,"MemorySwap":-1,"PidsLimit":7})");
    host_config_complete(unlimited, false);
    CHECK(unlimited.memory_swap == -1);
    CHECK(unlimited.pids_limit == 7);

    HostConfig privileged = host_config_of(R"({"Privileged":true})");
    host_config_complete(privileged, false);
    CHECK(privileged.cgroupns_mode == "host");
    CHECK_FALSE(privileged.masked_paths.has_value());
    HostConfig privileged_v2 = host_config_of(R"({"Privileged":true})");
    host_config_complete(privileged_v2, true);
    CHECK(privileged_v2.cgroupns_mode == "private");

    HostConfig open = host_config_of(R"({"SecurityOpt":["systempaths=unconfined"]})");
    host_config_complete(open, false);
    CHECK(open.masked_paths == std::vector<std::string>{});
    CHECK(open.readonly_paths == std::vector<std::string>{});

    HostConfig chosen = host_config_of(R"({"MaskedPaths":["/proc/keys"],"ReadonlyPaths":[]})");
    host_config_complete(chosen, false);
    CHECK(chosen.masked_paths == std::vector<std::string>{"/proc/keys"});
    CHECK(chosen.readonly_paths == std::vector<std::string>{});
}
