// Endpoints about the daemon itself: ping, version, info, jobs, metrics.
#include <charconv>

#include "http/api/handlers.h"
#include "http/json_writer.h"
#include "jobs/container/cdi_registry.h"
#include "jobs/daemon.h"
#include "jobs/version.h"
#include "reactor/base/log.h"
#include "reactor/loop.h"
#include "reactor/offload.h"

namespace davit::api {

namespace {

void ping_headers(Headers& headers) {
    headers.set("Builder-Version", "1");
    headers.set("Swarm", "inactive");
    headers.set("Cache-Control", "no-cache, no-store, must-revalidate");
    headers.set("Pragma", "no-cache");
}

void write_component(JsonWriter& json, const SystemInfo& host) {
    json.begin_object().key("Name").string("Engine").key("Version").string(engine_version);
    json.key("Details").begin_object();
    json.key("ApiVersion").string(api_version_max.text());
    json.key("Arch").string(host.go_architecture);
    json.key("Experimental").string("false");
    json.key("KernelVersion").string(host.kernel_version);
    json.key("MinAPIVersion").string(api_version_min.text());
    json.key("Os").string("linux");
    json.end_object().end_object();
}

void write_runtimes(JsonWriter& json) {
    json.key("Runtimes").begin_object();
    json.key("davit").begin_object().key("path").string("davit-init").end_object();
    json.end_object().key("DefaultRuntime").string("davit");
}

void write_plugins(JsonWriter& json) {
    json.key("Plugins").begin_object();
    json.key("Volume").strings(std::array<std::string_view, 1>{"local"});
    json.key("Network").strings(
        std::array<std::string_view, 5>{"bridge", "host", "ipvlan", "macvlan", "null"});
    json.key("Authorization").null();
    static constexpr std::array<std::string_view, 4> logs{
        "journald", "json-file", "local", "syslog"};
    json.key("Log").strings(logs);
    json.end_object();
}

void write_registry_config(JsonWriter& json, const DaemonConfig& config) {
    json.key("RegistryConfig").begin_object();
    std::vector<std::string> cidrs = config.insecure_registries;
    cidrs.insert(cidrs.begin(), {"::1/128", "127.0.0.0/8"});
    json.key("InsecureRegistryCIDRs").strings(cidrs);
    json.key("IndexConfigs").begin_object().key("docker.io").begin_object();
    json.key("Name").string("docker.io").key("Mirrors").strings(config.registry_mirrors);
    json.key("Secure").boolean(true).key("Official").boolean(true);
    json.end_object().end_object();
    json.key("Mirrors").strings(config.registry_mirrors).end_object();
}

void write_counts(JsonWriter& json, const Daemon& daemon) {
    const ContainerCounts counts = daemon.containers.counts();
    json.key("Containers").number(counts.total);
    json.key("ContainersRunning").number(counts.running);
    json.key("ContainersPaused").number(counts.paused);
    json.key("ContainersStopped").number(counts.total - counts.running - counts.paused);
    json.key("Images").number(daemon.image_count());
}

void write_host(JsonWriter& json, const SystemInfo& host) {
    json.key("KernelVersion").string(host.kernel_version);
    json.key("OperatingSystem").string(host.operating_system);
    json.key("OSVersion").string(host.os_version);
    json.key("OSType").string("linux").key("Architecture").string(host.architecture);
    json.key("NCPU").number(host.cpu_count).key("MemTotal").number(host.memory_bytes);
    json.key("Name").string(host.host_name);
}

void write_abilities(JsonWriter& json, const Daemon& daemon) {
    const HostLimits& limits = daemon.host_limits;
    json.key("MemoryLimit").boolean(limits.memory).key("SwapLimit").boolean(limits.swap);
    json.key("CpuCfsPeriod").boolean(limits.cpu_quota);
    json.key("CpuCfsQuota").boolean(limits.cpu_quota);
    json.key("CPUShares").boolean(limits.cpu_shares).key("CPUSet").boolean(limits.cpuset);
    json.key("PidsLimit").boolean(limits.pids);
    json.key("OomKillDisable").boolean(limits.oom_kill_disable);
    const auto forwarding = file_read("/proc/sys/net/ipv4/ip_forward");
    json.key("IPv4Forwarding").boolean(forwarding && forwarding->starts_with('1'));
    json.key("CgroupDriver").string("cgroupfs");
    json.key("CgroupVersion").string(daemon.cgroups.mode == CgroupMode::v2 ? "2" : "1");
    json.key("SecurityOptions");
    const std::string seccomp = "name=seccomp,profile=" + daemon.seccomp.name();
    std::vector<std::string_view> options{seccomp};
    if (daemon.user_remap) {
        options.emplace_back("name=userns");
    }
    options.emplace_back("name=cgroupns");
    json.strings(options);
}

/// Since 1.50; with what is wrong with the specs as warnings. Follows: moby daemon/info.go.
void write_devices(JsonWriter& json, const ApiContext& context, const CdiRegistry& registry) {
    const Daemon& daemon = context.daemon;
    std::vector<std::string> warnings = daemon.warnings();
    json.key("CDISpecDirs").strings(daemon.config.cdi_directories);
    if (context.version >= ApiVersion{1, 50}) {
        const std::vector<std::string> names = registry.device_names();
        if (!names.empty()) {
            json.key("DiscoveredDevices").begin_array();
            for (const std::string& name : names) {
                json.begin_object().key("Source").string("cdi").key("ID").string(name);
                json.end_object();
            }
            json.end_array();
        }
        for (const std::string& problem : registry.problems()) {
            warnings.push_back("CDI: " + problem);
        }
    }
    json.key("Warnings").strings(warnings);
}

}  // namespace

Task<void> ping(ApiContext& context) {
    ping_headers(context.response.headers());
    co_return co_await context.response.send(200, "text/plain; charset=utf-8", "OK");
}

Task<void> version(ApiContext& context) {
    const SystemInfo& host = context.daemon.system;
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    json.key("Platform").begin_object().key("Name").string("davit " DAVIT_VERSION).end_object();
    json.key("Components").begin_array();
    write_component(json, host);
    json.end_array();
    json.key("Version").string(engine_version);
    json.key("ApiVersion").string(api_version_max.text());
    json.key("MinAPIVersion").string(api_version_min.text());
    json.key("GitCommit").string(DAVIT_GIT_COMMIT).key("GoVersion").string("");
    json.key("Os").string("linux").key("Arch").string(host.go_architecture);
    json.key("KernelVersion").string(host.kernel_version).key("BuildTime").string("");
    json.end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> info(ApiContext& context) {
    const Daemon& daemon = context.daemon;
    auto read = [directories = daemon.config.cdi_directories]() -> Result<CdiRegistry> {
        return CdiRegistry::read(directories);
    };
    CO_TRY(const CdiRegistry devices, co_await offload(std::move(read)));
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("ID").string(daemon.id);
    write_counts(json, daemon);
    json.key("Driver").string(daemon.graph_driver->name());
    json.key("DriverStatus").begin_array();
    for (const auto& [key, value] : daemon.graph_driver->status()) {
        json.strings(std::array<std::string_view, 2>{key, value});
    }
    json.end_array();
    json.key("SystemStatus").null();
    write_plugins(json);
    write_host(json, daemon.system);
    write_abilities(json, daemon);
    write_runtimes(json);
    write_registry_config(json, daemon.config);
    json.key("DockerRootDir").string(daemon.config.data_root);
    json.key("ServerVersion").string(engine_version);
    json.key("IndexServerAddress").string("https://index.docker.io/v1/");
    json.key("LoggingDriver").string("json-file");
    json.key("Debug").boolean(log_level() == LogLevel::debug);
    json.key("NFd").number(0).key("NGoroutines").number(daemon.engine.running_count());
    json.key("SystemTime").string(rfc3339_nano(wall_now()));
    json.key("NEventsListener").number(0);
    json.key("HttpProxy").string("").key("HttpsProxy").string("").key("NoProxy").string("");
    json.key("Labels").begin_array().end_array();
    json.key("ExperimentalBuild").boolean(false).key("LiveRestoreEnabled").boolean(false);
    json.key("Swarm").begin_object().key("NodeID").string("").key("LocalNodeState");
    json.string("inactive").key("ControlAvailable").boolean(false).end_object();
    json.key("Isolation")
        .string("")
        .key("InitBinary")
        .string("docker-init")
        .key("GenericResources")
        .null();
    json.key("DefaultAddressPools").begin_array().end_array();
    write_devices(json, context, devices);
    json.end_object();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> jobs_list(ApiContext& context) {
    std::string body;
    JsonWriter json(body);
    json.begin_array();
    for (const JobReport& report : context.daemon.engine.list()) {
        json.begin_object().key("Id").number(report.id).key("Name").string(report.name);
        json.key("Args").strings(report.arguments);
        json.key("Status").string(job_status_name(report.status));
        json.key("Started").string(rfc3339_nano(report.started));
        json.key("ElapsedNs").number(report.elapsed.count());
        json.key("Stdin").number(report.traffic.bytes_read);
        json.key("Stdout").number(report.traffic.bytes_written);
        json.key("Stderr").strings(report.traffic.complaints);
        json.key("Error").string(report.error).key("Phases").begin_array();
        for (const Phase& phase : report.phases) {
            json.begin_object().key("Name").string(phase.name);
            json.key("StartNs").number(phase.start.count());
            json.key("DurationNs").number(phase.duration.count()).end_object();
        }
        json.end_array().end_object();
    }
    json.end_array();
    co_return co_await context.send_json(200, std::move(body));
}

Task<void> loop_stats(ApiContext& context) {
    const StallDetector& stalls = Loop::current().stalls();
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("LongestNs").number(stalls.longest().count());
    json.key("Turns").number(stalls.turns()).key("LongTurns").number(stalls.long_turns());
    json.key("HistogramUs").begin_array();
    std::uint64_t from = 1;
    for (const std::uint64_t count : stalls.histogram()) {
        json.begin_object().key("From").number(from).key("Turns").number(count).end_object();
        from *= 2;
    }
    json.end_array().end_object();
    co_return co_await context.send_json(200, std::move(body));
}

/// What is told from now on is about the turns from now on.
Task<void> loop_reset(ApiContext& context) {
    Loop::current().stalls() = StallDetector();
    co_return co_await context.send_empty(204);
}

Task<void> job_cancel(ApiContext& context) {
    const std::string& text = context.params.get("id");
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) {
        co_return Error(ErrorKind::invalid_argument, "not a job's number: " + text);
    }
    CO_CHECK(context.daemon.engine.cancel(id));
    co_return co_await context.send_empty(204);
}

Error no_swarm() {
    return Error(ErrorKind::unavailable,
                 "This node is not a swarm manager. davit does not implement Swarm.");
}

Task<void> not_a_swarm(ApiContext&) {
    co_return no_swarm();
}

Task<void> plugins_list(ApiContext& context) {
    co_return co_await context.send_json(200, "[]");
}

}  // namespace davit::api
