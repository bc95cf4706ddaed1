// What a HostConfig may ask for: Docker's own checks, and what davit cannot do yet, by name.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>

#include "jobs/container/cpu_list.h"
#include "jobs/container/field_check.h"
#include "jobs/container/host_config.h"
#include "jobs/container/links.h"
#include "jobs/container/log_config.h"
#include "jobs/container/ports.h"
#include "libcontainer/capabilities.h"
#include "libcontainer/spec.h"
#include "reactor/base/byte_size.h"

namespace davit {

namespace {

using Words = std::span<const std::string_view>;

constexpr std::int64_t memory_bytes_min = 6LL * 1024 * 1024;
constexpr std::int64_t nano_cpu = 1'000'000'000;

Error not_yet(std::string_view option, std::string_view value, std::string_view instead) {
    constexpr std::size_t shown_max = 80;
    std::string message(option);
    if (!value.empty()) {
        message.append(" \"").append(value.substr(0, shown_max));
        message.append(value.size() > shown_max ? "...\"" : "\"");
    }
    message.append(" is not supported by davit yet: ").append(instead);
    return Error(ErrorKind::unsupported, std::move(message));
}

/// is_update: what is not given stays as it is.
Result<void> check_memory(const HostConfig& config, bool is_update) {
    if (config.memory != 0 && config.memory < memory_bytes_min) {
        return bad("Minimum memory limit allowed is 6MB");
    }
    if (config.memory > 0 && config.memory_swap > 0 && config.memory_swap < config.memory) {
        return bad("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if (config.memory == 0 && config.memory_swap > 0 && !is_update) {
        return bad("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if (config.memory_swap < -1) {
        return bad("Invalid value " + std::to_string(config.memory_swap) +
                   " for memory swap: -1 means unlimited");
    }
    const std::int64_t swappiness = config.memory_swappiness.value_or(-1);
    if (swappiness < -1 || swappiness > 100) {
        return bad("Invalid value: " + std::to_string(swappiness) +
                   ", valid memory swappiness range is 0-100");
    }
    if (config.memory_reservation != 0 && config.memory_reservation < memory_bytes_min) {
        return bad("Minimum memory reservation allowed is 6MB");
    }
    if (config.memory > 0 && config.memory_reservation > config.memory) {
        return bad("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if (config.oom_score_adj < -1000 || config.oom_score_adj > 1000) {
        return bad("Invalid value " + std::to_string(config.oom_score_adj) +
                   ", range for oom score adj is [-1000, 1000]");
    }
    return ok;
}

Result<void> check_cpuset(const HostConfig& config, int cpu_count) {
    const auto cpus = cpu_list_parse(config.cpuset_cpus);
    if (!cpus) {
        return bad("Invalid value " + config.cpuset_cpus + " for cpuset cpus");
    }
    if (cpu_count > 0 && !cpus->empty() && *cpus->rbegin() >= static_cast<unsigned>(cpu_count)) {
        return bad("Requested CPUs are not available - requested " + config.cpuset_cpus +
                   ", available: 0-" + std::to_string(cpu_count - 1));
    }
    if (!cpu_list_parse(config.cpuset_mems)) {
        return bad("Invalid value " + config.cpuset_mems + " for cpuset mems");
    }
    return ok;
}

Result<void> check_cpu(const HostConfig& config, int cpu_count) {
    if (config.nano_cpus > 0 && config.cpu_period > 0) {
        return bad("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if (config.nano_cpus > 0 && config.cpu_quota > 0) {
        return bad("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    const std::string count = std::to_string(cpu_count);
    if (cpu_count > 0 && (config.nano_cpus < 0 || config.nano_cpus > cpu_count * nano_cpu)) {
        return bad("range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
                   " CPUs available");
    }
    if (config.nano_cpus < 0 || config.cpu_shares < 0) {
        return bad("CPUs and CPU shares can not be less than 0");
    }
    if (config.cpu_period != 0 && (config.cpu_period < 1000 || config.cpu_period > 1'000'000)) {
        return bad(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if (config.cpu_quota > 0 && config.cpu_quota < 1000) {
        return bad("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if (config.cpu_realtime_period < 0 || config.cpu_realtime_runtime < 0) {
        return bad("cpu real-time period and runtime can not be less than 0");
    }
    if (config.cpu_realtime_period != 0 &&
        config.cpu_realtime_runtime > config.cpu_realtime_period) {
        return bad("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    if (config.blkio_weight != 0 && (config.blkio_weight < 10 || config.blkio_weight > 1000)) {
        return bad("Range of blkio weight is from 10 to 1000");
    }
    return check_cpuset(config, cpu_count);
}

/// What can be told without a look at the host. Follows: moby daemon/daemon_unix.go,
/// verifyPlatformContainerResources(); docker/cli opts.
Result<void> check_devices(const HostConfig& config) {
    for (const DeviceMapping& device : config.devices) {
        if (!device.path_in_container.empty() && !device.path_in_container.starts_with('/')) {
            return bad("invalid device mapping: " + device.path_in_container +
                       " is not an absolute path");
        }
        if (!device.path_on_host.starts_with('/')) {
            return bad("invalid device mapping: " + device.path_on_host +
                       " is not an absolute path");
        }
        if (device.cgroup_permissions.find_first_not_of("rwm") != std::string::npos) {
            return bad("invalid device mode: " + device.cgroup_permissions);
        }
    }
    for (const std::string& rule : config.device_cgroup_rules) {
        TRY([[maybe_unused]] const DeviceRule parsed, DeviceRule::parse(rule));
    }
    for (const DeviceWeight& device : config.blkio_weight_device) {
        if (device.weight != 0 && (device.weight < 10 || device.weight > 1000)) {
            return bad("invalid weight for device " + device.path + ": its range is 10 to 1000");
        }
    }
    return ok;
}

Result<void> check_names(const HostConfig& config) {
    for (const std::string& extra : config.extra_hosts) {
        const std::size_t split = extra.find_first_of(":=");
        if (split == std::string::npos || split == 0) {
            return bad("bad format for add-host: \"" + extra + "\"");
        }
        const std::string address = extra.substr(split + 1);
        if (address != "host-gateway" && !is_address(address)) {
            return bad("invalid IP address in add-host: \"" + address + "\"");
        }
    }
    for (const std::string& server : config.dns) {
        if (!is_address(server)) {
            return bad(server + " is not an ip address");
        }
    }
    return ok;
}

/// What cannot be had beside another container's network. Follows: moby's runconfig errors.
Result<void> check_shared_network(const HostConfig& config) {
    const auto conflict = [](std::string_view what) {
        return bad("conflicting options: " + std::string(what));
    };
    if (config.network_mode == "container:") {
        return bad("invalid network mode: invalid container format container:<name|id>");
    }
    if (!config.links.empty()) {
        return conflict(
            "container type network can't be used with links. This would result in undefined "
            "behavior");
    }
    if (!config.dns.empty()) {
        return conflict("dns and the network mode");
    }
    if (!config.extra_hosts.empty()) {
        return conflict("custom host-to-IP mapping and the network mode");
    }
    if (!config.port_bindings.empty() || config.publish_all_ports) {
        return conflict("port publishing and the container type network mode");
    }
    return ok;
}

Result<void> check_network(const HostConfig& config, std::vector<std::string>& warnings) {
    const std::string& mode = config.network_mode;
    const bool publishes = !config.port_bindings.empty() || config.publish_all_ports;
    if (mode.starts_with("container:")) {
        return check_shared_network(config);
    }
    if (mode == "host" && !config.links.empty()) {
        return bad(
            "conflicting options: host type networking can't be used with links. This would result "
            "in undefined behavior");
    }
    if (mode == "host" && publishes) {
        warnings.emplace_back("Published ports are discarded when using host network mode");
    }
    for (const std::string& link : config.links) {
        TRY([[maybe_unused]] const ContainerLink parsed, link_parse(link));
    }
    // Whether there is IPv6 is asked when the container starts.
    TRY([[maybe_unused]] const auto ports, ports_wanted(config, {}, PortHosts{.ipv6 = true}));
    return check_names(config);
}

Result<void> check_mode(std::string_view shown, const std::string& value, Words known) {
    if (value.empty() || is_one_of(value, known)) {
        return ok;
    }
    return bad("invalid " + std::string(shown) + " mode: " + value);
}

Result<void> check_namespaces(const HostConfig& config) {
    static constexpr std::array<std::string_view, 2> modes{"host", "private"};
    static constexpr std::array<std::string_view, 1> host{"host"};
    static constexpr std::array<std::string_view, 4> ipc{"host", "private", "shareable", "none"};
    if (container_of_mode(config.pid_mode).empty()) {
        TRY_VOID(check_mode("PID", config.pid_mode, host));
    }
    if (container_of_mode(config.ipc_mode).empty()) {
        TRY_VOID(check_mode("IPC", config.ipc_mode, ipc));
    }
    TRY_VOID(check_mode("UTS", config.uts_mode, host));
    TRY_VOID(check_mode("user namespace", config.userns_mode, host));
    return check_mode("cgroup namespace", config.cgroupns_mode, modes);
}

Result<void> check_ulimits(const HostConfig& config) {
    for (const Ulimit& limit : config.ulimits) {
        TRY([[maybe_unused]] const int number, resource_limit_number(limit.name));
        if (limit.soft < -1 || limit.hard < -1) {
            return bad("invalid ulimit for " + limit.name + ": -1 means unlimited");
        }
        if (limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0)) {
            return bad("ulimit soft limit must be less than or equal to hard limit: " +
                       std::to_string(limit.soft) + " > " + std::to_string(limit.hard));
        }
    }
    return ok;
}

Result<void> check_security(const HostConfig& config) {
    static constexpr auto known = std::to_array<std::string_view>({
        "no-new-privileges",
        "no-new-privileges:true",
        "no-new-privileges=true",
        "no-new-privileges:false",
        "no-new-privileges=false",
        "label=disable",
        "label:disable",
        "systempaths=unconfined",
        "systempaths:unconfined",
    });
    for (const std::string& option : config.security_opt) {
        // A profile is looked at when it is used, as with Docker.
        const std::string_view name =
            std::string_view(option).substr(0, option.find_first_of("=:"));
        const bool profile = name != option && (name == "seccomp" || name == "apparmor");
        if (!profile && !is_one_of(option, known)) {
            return not_yet("SecurityOpt",
                           option,
                           "known are no-new-privileges, seccomp, apparmor, label=disable and "
                           "systempaths=unconfined");
        }
    }
    const std::string apparmor = apparmor_profile_of(config);
    constexpr std::size_t apparmor_bytes_max = 1024;
    if (apparmor.size() > apparmor_bytes_max ||
        std::ranges::any_of(apparmor, [](char c) { return c >= 0 && c < ' '; })) {
        return bad("invalid name of an AppArmor profile");
    }
    TRY([[maybe_unused]] const CapabilitySet capabilities,
        capabilities_merge(capabilities_default(), config.cap_add, config.cap_drop));
    return check_ulimits(config);
}

/// Only what the container's own namespaces hold may be set. Follows: docker-run(1) --sysctl;
/// runc's words.
Result<void> check_sysctls(const HostConfig& config) {
    static constexpr auto of_ipc = std::to_array<std::string_view>({
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    });
    for (const auto& [name, value] : config.sysctls) {
        const bool is_ipc = is_one_of(name, of_ipc) || name.starts_with("fs.mqueue.");
        const bool is_network = name.starts_with("net.");
        // sysctl(8) reads "/" as a dot within a name, so "net.//.kernel.x" would be
        // /proc/sys/kernel/x.
        const bool climbs = std::ranges::any_of(
            std::array<std::string_view, 4>{"..", "//", "./", "/."},
            [&](std::string_view part) { return name.find(part) != std::string::npos; });
        if ((!is_ipc && !is_network) || climbs) {
            return bad("sysctl \"" + name + "\" is not in a separate kernel namespace");
        }
        if (is_network && config.network_mode == "host") {
            return bad("sysctl \"" + name + "\" not allowed in host network namespace");
        }
        if (is_ipc && config.ipc_mode == "host") {
            return bad("sysctl \"" + name + "\" is not allowed in the hosts ipc namespace");
        }
    }
    return ok;
}

Result<void> check_storage(const HostConfig& config) {
    for (const auto& [name, value] : config.storage_opt) {
        if (name != "size") {
            return bad("Unknown option " + name);
        }
        TRY([[maybe_unused]] const std::int64_t bytes, byte_size_parse(value));
    }
    if (config.shm_size < 0) {
        return bad("SHM size can not be less than 0");
    }
    for (const auto& paths : {config.masked_paths, config.readonly_paths}) {
        for (const std::string& path : paths.value_or(std::vector<std::string>{})) {
            if (path.empty() || path.front() != '/') {
                return bad("masked and read-only paths must be absolute: \"" + path + "\"");
            }
        }
    }
    return ok;
}

Result<void> check_restart(const HostConfig& config) {
    const RestartPolicy& policy = config.restart_policy;
    static constexpr std::array<std::string_view, 3> names{
        "always", "on-failure", "unless-stopped"};
    const bool restarts = is_one_of(policy.name, names);
    if (config.auto_remove && restarts) {
        return bad("can't create 'AutoRemove' container with restart policy");
    }
    if (!restarts && !policy.name.empty() && policy.name != "no") {
        return bad("invalid restart policy: unknown policy '" + policy.name +
                   "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
    }
    if (policy.maximum_retry_count < 0 && !policy.name.empty()) {
        return bad("invalid restart policy: maximum retry count cannot be negative");
    }
    if (policy.maximum_retry_count > 0 && !policy.name.empty() && policy.name != "on-failure") {
        return bad(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    }
    return ok;
}

Result<void> check_known(const HostConfig& config) {
    if (config.unsupported.empty()) {
        return ok;
    }
    const UnsupportedOption& option = config.unsupported.front();
    return not_yet(option.key, option.value, "leave the option out");
}

Result<void> check_policies(const HostConfig& config) {
    TRY_VOID(check_restart(config));
    TRY_VOID(log_config_check(config.log_config));
    if (!config.runtime.empty() && config.runtime != "davit") {
        return bad("unknown or invalid runtime name: " + config.runtime);
    }
    if (!config.isolation.empty() && config.isolation != "default") {
        return bad("invalid isolation '" + config.isolation + "' on linux");
    }
    if (!config.cgroup.empty()) {
        return not_yet("Cgroup", config.cgroup, "leave it out");
    }
    if (config.annotations.contains("")) {
        return bad("invalid Annotations: the empty string is not permitted as an annotation key");
    }
    return ok;
}

/// What an update may be sent and has never changed. Docker answers that it did; a client is told
/// here.
Result<void> check_unchangeable(const HostConfig& update) {
    const auto given = std::to_array<std::pair<std::string_view, bool>>({
        {"BlkioWeightDevice", !update.blkio_weight_device.empty()},
        {"BlkioDeviceReadBps", !update.blkio_device_read_bps.empty()},
        {"BlkioDeviceWriteBps", !update.blkio_device_write_bps.empty()},
        {"BlkioDeviceReadIOps", !update.blkio_device_read_iops.empty()},
        {"BlkioDeviceWriteIOps", !update.blkio_device_write_iops.empty()},
        {"CgroupParent", !update.cgroup_parent.empty()},
        {"DeviceCgroupRules", !update.device_cgroup_rules.empty()},
        {"DeviceRequests", !update.device_requests.empty()},
        {"Devices", !update.devices.empty()},
        {"Init", update.init.has_value()},
        {"MemorySwappiness", update.memory_swappiness.value_or(-1) != -1},
        {"OomKillDisable", update.oom_kill_disable.value_or(false)},
        {"Ulimits", !update.ulimits.empty()},
    });
    for (const auto& [key, is_given] : given) {
        if (is_given) {
            return bad(std::string(key) +
                       " cannot be updated: it is given when the container is created");
        }
    }
    return ok;
}

}  // namespace

Result<void> host_config_update_check(const HostConfig& update, int cpu_count) {
    TRY_VOID(check_known(update));
    TRY_VOID(check_unchangeable(update));
    TRY_VOID(check_memory(update, true));
    TRY_VOID(check_cpu(update, cpu_count));
    return check_restart(update);
}

Result<std::vector<std::string>> host_config_check(const HostConfig& config, int cpu_count) {
    std::vector<std::string> warnings;
    TRY_VOID(check_known(config));
    TRY_VOID(check_memory(config, false));
    TRY_VOID(check_cpu(config, cpu_count));
    TRY_VOID(check_devices(config));
    TRY_VOID(check_network(config, warnings));
    TRY_VOID(check_namespaces(config));
    TRY_VOID(check_security(config));
    TRY_VOID(check_sysctls(config));
    TRY_VOID(check_storage(config));
    TRY_VOID(check_policies(config));
    return warnings;
}

}  // namespace davit
