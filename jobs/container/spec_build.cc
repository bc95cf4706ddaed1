#include "jobs/container/spec_build.h"

#include <sys/mount.h>

#include <algorithm>
#include <charconv>

#include "jobs/container/merge.h"
#include "jobs/container/mount_points.h"
#include "libcontainer/defaults.h"
#include "libcontainer/reaper_binary.h"

namespace davit {

namespace {

Namespaces namespaces_of(const ContainerRecord& record, const SpecInputs& inputs) {
    const HostConfig& host = record.host_config;
    const auto mode = [](bool shared) { return shared ? NamespaceMode::host : NamespaceMode::own; };
    Namespaces namespaces;
    namespaces.pid = inputs.joins_pid ? NamespaceMode::join : mode(host.pid_mode == "host");
    namespaces.network =
        inputs.joins_network ? NamespaceMode::join : mode(host.network_mode == "host");
    namespaces.ipc = inputs.joins_ipc ? NamespaceMode::join : mode(host.ipc_mode == "host");
    namespaces.uts = mode(host.uts_mode == "host");
    namespaces.cgroup = mode(host.cgroupns_mode == "host");
    return namespaces;
}

Mount bind_mount(std::string source, std::string target) {
    Mount mount;
    mount.kind = MountKind::bind;
    mount.source = std::move(source);
    mount.target = std::move(target);
    return mount;
}

Mount prepared_mount(std::string target) {
    Mount mount;
    mount.kind = MountKind::prepared;
    mount.target = std::move(target);
    return mount;
}

/// The user's own, and in a network of the container's Docker's defaults: any user may ping and
/// listen on low ports, since both end at the container's own network.
void sysctls_add(ContainerSpec& spec, const ContainerRecord& record, bool own_network) {
    std::map<std::string, std::string> sysctls = record.host_config.sysctls;
    if (own_network || spec.namespaces.network == NamespaceMode::own) {
        sysctls.emplace("net.ipv4.ip_unprivileged_port_start", "0");
        const std::uint32_t group_max = std::min<std::uint32_t>(spec.ids.gid_max(), INT32_MAX);
        sysctls.emplace("net.ipv4.ping_group_range", "0 " + std::to_string(group_max));
    }
    spec.sysctls.assign(sysctls.begin(), sysctls.end());
}

Result<void> limits_add(ContainerSpec& spec,
                        const ContainerRecord& record,
                        const std::optional<rlimit>& descriptors) {
    const auto is_descriptors = [](const Ulimit& limit) { return limit.name == "nofile"; };
    if (descriptors && std::ranges::none_of(record.host_config.ulimits, is_descriptors)) {
        ResourceLimit resource;
        resource.name = "nofile";
        resource.resource = RLIMIT_NOFILE;
        resource.soft = descriptors->rlim_cur;
        resource.hard = descriptors->rlim_max;
        spec.process.resource_limits.push_back(std::move(resource));
    }
    for (const Ulimit& limit : record.host_config.ulimits) {
        ResourceLimit resource;
        resource.name = limit.name;
        TRY(resource.resource, resource_limit_number(limit.name));
        resource.soft = limit.soft < 0 ? RLIM_INFINITY : static_cast<std::uint64_t>(limit.soft);
        resource.hard = limit.hard < 0 ? RLIM_INFINITY : static_cast<std::uint64_t>(limit.hard);
        spec.process.resource_limits.push_back(std::move(resource));
    }
    return ok;
}

void process_fill(ContainerSpec& spec, const ContainerRecord& record, const SpecInputs& inputs) {
    ProcessSpec& process = spec.process;
    if (container_has_init(record.host_config, inputs.init_default)) {
        process.arguments = {std::string(reaper_path), "--"};
    }
    process.arguments.push_back(record.path);
    process.arguments.insert(process.arguments.end(), record.args.begin(), record.args.end());
    process.environment = container_environment(record.config, inputs.link_environment);
    const auto home = [](const std::string& entry) { return entry.starts_with("HOME="); };
    if (std::ranges::none_of(process.environment, home)) {
        process.environment.push_back("HOME=" + inputs.user.home);
    }
    for (const std::string& entry : inputs.devices.environment) {
        env_set(process.environment, entry);
    }
    process.working_directory = record.config.working_dir.empty() ? "/" : record.config.working_dir;
    process.uid = inputs.user.uid;
    process.gid = inputs.user.gid;
    process.additional_gids = inputs.user.additional_gids;
    for (const std::uint32_t group : inputs.devices.additional_gids) {
        if (std::ranges::find(process.additional_gids, group) == process.additional_gids.end()) {
            process.additional_gids.push_back(group);
        }
    }
    if (process.uid != 0) {
        // execve(2) by another user drops them anyway; the bounding set stays for setuid programs.
        process.capabilities.effective = 0;
        process.capabilities.permitted = 0;
    }
    process.no_new_privileges =
        std::ranges::any_of(record.host_config.security_opt, [](const std::string& option) {
            return option.starts_with("no-new-privileges") && !option.ends_with("false");
        });
    if (record.host_config.oom_score_adj != 0) {
        process.oom_score_adjust = record.host_config.oom_score_adj;
    }
    process.terminal = record.config.tty;
    const auto cells = [](std::uint32_t count) {
        return static_cast<std::uint16_t>(std::min<std::uint32_t>(count, UINT16_MAX));
    };
    process.terminal_height = cells(record.host_config.console_size[0]);
    process.terminal_width = cells(record.host_config.console_size[1]);
}

/// Mounts of devices come over what is at their place, and below what is further down.
void device_mounts_add(ContainerSpec& spec, const std::vector<Mount>& mounts) {
    for (const Mount& mount : mounts) {
        const std::string below = mount.target.ends_with('/') ? mount.target : mount.target + "/";
        const auto next = std::ranges::find_if(
            spec.mounts, [&](const Mount& other) { return other.target.starts_with(below); });
        spec.mounts.insert(next, mount);
    }
}

Result<void> mounts_add(ContainerSpec& spec,
                        const ContainerRecord& record,
                        const SpecInputs& inputs) {
    // davit's files first: a user's mount over /etc/hosts replaces them.
    const std::string& files =
        inputs.files_directory.empty() ? record.files_directory : inputs.files_directory;
    for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
        spec.mounts.push_back(bind_mount(files + "/" + name, std::string("/etc/") + name));
    }
    if (spec.namespaces.ipc == NamespaceMode::host) {
        spec.mounts.push_back(bind_mount("/dev/shm", "/dev/shm"));
    }
    if (spec.namespaces.pid == NamespaceMode::join) {
        Mount& proc = *std::ranges::find(spec.mounts, "/proc", &Mount::target);
        proc = prepared_mount("/proc");
        proc.no_symlink = true;
    }
    if (spec.namespaces.ipc == NamespaceMode::join) {
        spec.mounts.push_back(prepared_mount("/dev/shm"));
    }
    if (record.host_config.ipc_mode == "none") {
        std::erase_if(spec.mounts, [](const Mount& mount) { return mount.target == "/dev/shm"; });
    }
    for (const MountPoint& point : record.mounts) {
        TRY(Mount mount, mount_point_spec(point));
        mount.maps_ids = point.type == "volume" && !inputs.volumes_unmapped.contains(point.name);
        // The user's own mount takes the place of a default one, /dev/shm say.
        std::erase_if(spec.mounts,
                      [&](const Mount& other) { return other.target == mount.target; });
        spec.mounts.push_back(std::move(mount));
    }
    device_mounts_add(spec, inputs.devices.mounts);
    if (container_has_init(record.host_config, inputs.init_default)) {
        Mount init = bind_mount(record.files_directory + "/" + std::string(reaper_file_name),
                                std::string(reaper_path));
        init.attributes = MOUNT_ATTR_RDONLY;
        init.attributes_clear = MOUNT_ATTR_NOEXEC;  // Some hosts have it on all of /run.
        init.recursive = false;
        spec.mounts.push_back(std::move(init));
    }
    return ok;
}

}  // namespace

bool container_has_init(const HostConfig& host, bool init_default) {
    const bool own_pids = host.pid_mode != "host" && !host.pid_mode.starts_with("container:");
    return own_pids && host.init.value_or(init_default);
}

std::string_view seccomp_wanted(const HostConfig& host, std::string_view fallback) {
    constexpr std::string_view key = "seccomp";
    std::string_view wanted;
    for (const std::string& option : host.security_opt) {
        const std::size_t end = option.find_first_of("=:");
        if (std::string_view(option).substr(0, end) == key && end != std::string::npos) {
            wanted = std::string_view(option).substr(end + 1);
        }
    }
    if (wanted.empty()) {
        return host.privileged ? seccomp_unconfined : fallback;
    }
    return wanted;
}

Result<CapabilitySet> container_capabilities(const HostConfig& host) {
    const CapabilitySet base = host.privileged ? capabilities_available() : capabilities_default();
    return capabilities_merge(base, host.cap_add, host.cap_drop);
}

bool record_mounts_at(const ContainerRecord& record, std::string_view target) {
    return std::ranges::any_of(
        record.mounts, [&](const MountPoint& point) { return point.destination == target; });
}

Result<ContainerSpec> spec_build(const ContainerRecord& record, const SpecInputs& inputs) {
    const HostConfig& host = record.host_config;
    DefaultsRequest defaults;
    defaults.privileged = host.privileged;
    defaults.shm_bytes =
        host.shm_size > 0 ? static_cast<std::uint64_t>(host.shm_size) : shm_bytes_default;
    defaults.namespaces = namespaces_of(record, inputs);
    TRY(defaults.capabilities, container_capabilities(host));
    defaults.seccomp_unconfined =
        inputs.seccomp.has_value() || seccomp_wanted(host) == seccomp_unconfined;
    TRY(ContainerSpec spec, container_spec_default(defaults));
    if (inputs.seccomp) {
        spec.process.seccomp_filter = inputs.seccomp->program;
        spec.process.seccomp_flags = inputs.seccomp->flags;
    }
    if (std::string profile = apparmor_profile_of(host); profile != "unconfined") {
        spec.process.apparmor_profile = std::move(profile);
    }
    spec.id = record.id.str();
    spec.ids = inputs.ids;
    if (spec.namespaces.uts == NamespaceMode::own) {
        spec.hostname = record.config.hostname;
        spec.domainname = record.config.domainname;
    }
    for (const Device& device : inputs.devices.nodes) {
        // The user's own takes the place of a default one.
        std::erase_if(spec.devices, [&](const Device& other) { return other.path == device.path; });
        spec.devices.push_back(device);
    }
    spec.rootfs_readonly = host.readonly_rootfs;
    spec.cgroup = inputs.cgroup;
    if (host.masked_paths) {
        spec.masked_paths = *host.masked_paths;
    }
    if (host.readonly_paths) {
        spec.readonly_paths = *host.readonly_paths;
    }
    TRY_VOID(mounts_add(spec, record, inputs));
    sysctls_add(spec, record, inputs.own_network);
    TRY_VOID(limits_add(spec, record, inputs.descriptors));
    process_fill(spec, record, inputs);
    return spec;
}

Resources resources_build(const ContainerRecord& record, const ContainerDevices& devices) {
    const HostConfig& host = record.host_config;
    Resources resources;
    const auto set_if = [](auto& slot, const auto& value) {
        if (value != std::decay_t<decltype(value)>{}) {
            slot = static_cast<typename std::decay_t<decltype(slot)>::value_type>(value);
        }
    };
    set_if(resources.memory_bytes, host.memory);
    set_if(resources.memory_swap_bytes, host.memory_swap);
    set_if(resources.memory_reservation_bytes, host.memory_reservation);
    set_if(resources.cpu_shares, host.cpu_shares);
    set_if(resources.cpu_period_us, host.cpu_period);
    set_if(resources.cpu_quota_us, host.cpu_quota);
    set_if(resources.cpu_realtime_runtime_us, host.cpu_realtime_runtime);
    set_if(resources.cpu_realtime_period_us, host.cpu_realtime_period);
    if (host.nano_cpus > 0) {
        constexpr std::int64_t period_us = 100'000;
        constexpr std::int64_t quota_us_min = 1000;  // The kernel's.
        resources.cpu_period_us = period_us;
        resources.cpu_quota_us =
            std::max(host.nano_cpus / 1000 * period_us / 1'000'000, quota_us_min);
    }
    set_if(resources.cpuset_cpus, host.cpuset_cpus);
    set_if(resources.cpuset_mems, host.cpuset_mems);
    if (host.pids_limit.value_or(0) > 0) {
        resources.pids_max = *host.pids_limit;
    }
    resources.memory_swappiness = host.memory_swappiness;
    resources.oom_kill_disable = host.oom_kill_disable.value_or(false);
    set_if(resources.blkio_weight, host.blkio_weight);
    resources.block_limits = devices.block_limits;
    if (!host.privileged) {
        resources.device_rules = device_rules_default();
        for (const DeviceRule& rule : devices.rules) {
            resources.device_rules->push_back(rule);
        }
        for (const std::string& text : host.device_cgroup_rules) {
            if (const auto rule = DeviceRule::parse(text)) {  // host_config_check() refuses others.
                resources.device_rules->push_back(*rule);
            }
        }
    }
    return resources;
}

Resources resources_of_update(const ContainerRecord& record, const HostConfig& update) {
    const Resources all = resources_build(record);
    Resources resources;
    // v2 counts swap apart from memory, and has quota and period in one file.
    if (update.memory != 0 || update.memory_swap != 0) {
        resources.memory_bytes = all.memory_bytes;
    }
    if (update.memory_swap != 0) {
        resources.memory_swap_bytes = all.memory_swap_bytes;
    }
    if (update.memory_reservation != 0) {
        resources.memory_reservation_bytes = all.memory_reservation_bytes;
    }
    if (update.cpu_shares != 0) {
        resources.cpu_shares = all.cpu_shares;
    }
    if (update.nano_cpus != 0 || update.cpu_period != 0 || update.cpu_quota != 0) {
        resources.cpu_period_us = all.cpu_period_us;
        resources.cpu_quota_us = all.cpu_quota_us;
    }
    if (update.cpu_realtime_runtime != 0 || update.cpu_realtime_period != 0) {
        resources.cpu_realtime_runtime_us = all.cpu_realtime_runtime_us;
        resources.cpu_realtime_period_us = all.cpu_realtime_period_us;
    }
    if (!update.cpuset_cpus.empty()) {
        resources.cpuset_cpus = all.cpuset_cpus;
    }
    if (!update.cpuset_mems.empty()) {
        resources.cpuset_mems = all.cpuset_mems;
    }
    if (update.pids_limit) {
        resources.pids_max = all.pids_max.value_or(-1);
    }
    if (update.blkio_weight != 0) {
        resources.blkio_weight = all.blkio_weight;
    }
    return resources;
}

}  // namespace davit
