#include "runtime/oci_config.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>

#include "libcontainer/defaults.h"

#include "runtime/seccomp_profile.h"

namespace davit {

namespace {

Error config_error(const std::string& message) {
    return Error(ErrorKind::invalid_argument, "config.json: " + message);
}

Error config_unsupported(const std::string& what) {
    return Error(ErrorKind::unsupported, "config.json: " + what + ": davit does not support it");
}

Result<void> version_check(const JsonValue& root) {
    TRY(const std::string version, root.string_or("ociVersion", ""));
    if (version.empty()) {
        return config_error("ociVersion is missing");
    }
    if (!version.starts_with("1.")) {
        return config_unsupported("ociVersion " + version);
    }
    return ok;
}

Result<std::vector<IdRange>> id_map_read(const JsonValue& linux_config, std::string_view key) {
    TRY(const JsonValue array, linux_config.array(key));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    std::vector<IdRange> ranges;
    for (const JsonValue& entry : entries) {
        TRY(const std::uint64_t inside, entry.uint64_or("containerID", 0));
        TRY(const std::uint64_t outside, entry.uint64_or("hostID", 0));
        TRY(const std::uint64_t count, entry.uint64_or("size", 0));
        if (count == 0 || inside + count > UINT32_MAX || outside + count > UINT32_MAX) {
            return config_error("linux." + std::string(key) + ": a range of " +
                                std::to_string(count) + " ids is out of bounds");
        }
        ranges.push_back({static_cast<std::uint32_t>(inside),
                          static_cast<std::uint32_t>(outside),
                          static_cast<std::uint32_t>(count)});
    }
    return ranges;
}

struct NamespaceSlot {
    std::string_view type;
    NamespaceMode Namespaces::*mode;
    std::string OciNamespacePaths::*path;
};

constexpr std::array<NamespaceSlot, 5> namespace_slots{{
    {"pid", &Namespaces::pid, &OciNamespacePaths::pid},
    {"network", &Namespaces::network, &OciNamespacePaths::network},
    {"ipc", &Namespaces::ipc, &OciNamespacePaths::ipc},
    {"uts", &Namespaces::uts, &OciNamespacePaths::uts},
    {"cgroup", &Namespaces::cgroup, &OciNamespacePaths::cgroup},
}};

Result<void> namespace_read(OciConfig& config,
                            const std::string& type,
                            const std::string& path,
                            bool& has_mount,
                            bool& has_user) {
    const auto slot = std::ranges::find(namespace_slots, type, &NamespaceSlot::type);
    if (slot == namespace_slots.end()) {
        if (type != "mount" && type != "user") {
            return type == "time"
                       ? config_unsupported("linux.namespaces: time")
                       : config_error("linux.namespaces: no such type: \"" + type + "\"");
        }
        bool& has = type == "mount" ? has_mount : has_user;
        if (has) {
            return config_error("linux.namespaces: " + type + " is there twice");
        }
        has = true;
        return path.empty() ? Result<void>(ok)
                            : config_unsupported("linux.namespaces: a path for " + type);
    }
    NamespaceMode& mode = config.spec.namespaces.*slot->mode;
    if (mode != NamespaceMode::host) {
        return config_error("linux.namespaces: " + type + " is there twice");
    }
    mode = path.empty() ? NamespaceMode::own : NamespaceMode::join;
    config.paths.*slot->path = path;
    return ok;
}

Result<void> namespaces_read(OciConfig& config, const JsonValue& linux_config) {
    config.spec.namespaces = {NamespaceMode::host,
                              NamespaceMode::host,
                              NamespaceMode::host,
                              NamespaceMode::host,
                              NamespaceMode::host};
    TRY(const JsonValue array, linux_config.array("namespaces"));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    bool has_mount = false;
    bool has_user = false;
    for (const JsonValue& entry : entries) {
        TRY(const std::string type, entry.string_or("type", ""));
        TRY(const std::string path, entry.string_or("path", ""));
        TRY_VOID(namespace_read(config, type, path, has_mount, has_user));
    }
    if (!has_mount) {
        return config_unsupported("linux.namespaces: a container in the host's mount namespace");
    }
    TRY(config.spec.ids.uids, id_map_read(linux_config, "uidMappings"));
    TRY(config.spec.ids.gids, id_map_read(linux_config, "gidMappings"));
    const bool has_map = !config.spec.ids.uids.empty() && !config.spec.ids.gids.empty();
    if (has_user != has_map || config.spec.ids.uids.empty() != config.spec.ids.gids.empty()) {
        return config_error(
            "linux.uidMappings and linux.gidMappings go with a new user namespace, all three");
    }
    return ok;
}

Result<Device> device_read(const JsonValue& entry) {
    Device device;
    TRY(device.path, entry.string_or("path", ""));
    TRY(const std::string type, entry.string_or("type", ""));
    TRY(const std::uint64_t major, entry.uint64_or("major", 0));
    TRY(const std::uint64_t minor, entry.uint64_or("minor", 0));
    TRY(const std::uint64_t mode, entry.uint64_or("fileMode", 0666));
    TRY(const std::uint64_t uid, entry.uint64_or("uid", 0));
    TRY(const std::uint64_t gid, entry.uint64_or("gid", 0));
    if (!device.path.starts_with('/')) {
        return config_error("linux.devices: path \"" + device.path + "\" is not absolute");
    }
    mode_t kind = 0;
    if (type == "c" || type == "u") {
        kind = S_IFCHR;
    } else if (type == "b") {
        kind = S_IFBLK;
    } else if (type == "p") {
        kind = S_IFIFO;
    } else {
        return config_error("linux.devices: " + device.path + ": no such type: \"" + type + "\"");
    }
    constexpr std::uint64_t permissions = 07777;
    device.mode = kind | static_cast<mode_t>(mode & permissions);
    device.major = static_cast<unsigned>(major);
    device.minor = static_cast<unsigned>(minor);
    device.uid = static_cast<std::uint32_t>(uid);
    device.gid = static_cast<std::uint32_t>(gid);
    return device;
}

/// Where the bundle brings a /dev of its own, nothing is made in it. Follows: runc's
/// libcontainer needsSetupDev().
bool makes_dev(const ContainerSpec& spec) {
    return std::ranges::none_of(spec.mounts, [](const Mount& mount) {
        return mount.kind == MountKind::bind && mount.target == "/dev";
    });
}

Result<void> devices_fill(OciConfig& config, const JsonValue& linux_config) {
    ContainerSpec& spec = config.spec;
    TRY(const JsonValue array, linux_config.array("devices"));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    TRY(ContainerSpec defaults, container_spec_default({.privileged = true}));
    if (makes_dev(spec)) {
        spec.devices = std::move(defaults.devices);
        spec.symlinks = std::move(defaults.symlinks);
    }
    for (const JsonValue& entry : entries) {
        TRY(Device device, device_read(entry));
        std::erase_if(spec.devices, [&](const Device& other) { return other.path == device.path; });
        if (makes_dev(spec)) {
            spec.devices.push_back(std::move(device));
        }
    }
    return ok;
}

Result<void> seccomp_read(OciConfig& config, const JsonValue& linux_config) {
    TRY(const JsonValue profile, linux_config.object("seccomp"));
    if (!profile.present()) {
        return ok;
    }
    utsname host{};
    ::uname(&host);
    const SeccompTarget target{config.spec.process.capabilities.bounding,
                               kernel_version_parse(host.release)};
    TRY(SeccompFilter filter, seccomp_profile_compile(profile.to_json(), target));
    config.spec.process.seccomp_filter = std::move(filter.program);
    config.spec.process.seccomp_flags = filter.flags;
    return ok;
}

/// What is not in a namespace is the host's. Follows: runc libcontainer/configs/validate sysctl().
Result<void> sysctls_check(const ContainerSpec& spec) {
    constexpr auto ipc = std::to_array<std::string_view>({"kernel.msgmax",
                                                          "kernel.msgmnb",
                                                          "kernel.msgmni",
                                                          "kernel.sem",
                                                          "kernel.shmall",
                                                          "kernel.shmmax",
                                                          "kernel.shmmni",
                                                          "kernel.shm_rmid_forced"});
    const auto has = [](NamespaceMode mode) { return mode != NamespaceMode::host; };
    for (const auto& [key, value] : spec.sysctls) {
        std::string name = key;
        if (name.find_first_of("./") != std::string::npos &&
            name[name.find_first_of("./")] == '/') {
            std::ranges::replace(name, '/', '.');
        }
        const bool of_ipc =
            std::ranges::find(ipc, name) != ipc.end() || name.starts_with("fs.mqueue.");
        const bool of_uts = name == "kernel.domainname";
        if ((of_ipc && has(spec.namespaces.ipc)) || (of_uts && has(spec.namespaces.uts)) ||
            (name.starts_with("net.") && has(spec.namespaces.network))) {
            continue;
        }
        return config_error("linux.sysctl: \"" + key +
                            "\" is not in a namespace of the container's own");
    }
    return ok;
}

/// The root is private: what propagates is said of each mount.
Result<void> propagation_check(const JsonValue& linux_config) {
    TRY(const std::string propagation, linux_config.string_or("rootfsPropagation", ""));
    constexpr auto known =
        std::to_array<std::string_view>({"", "private", "rprivate", "slave", "rslave"});
    constexpr auto refused =
        std::to_array<std::string_view>({"shared", "rshared", "unbindable", "runbindable"});
    if (std::ranges::find(known, propagation) != known.end()) {
        return ok;
    }
    if (std::ranges::find(refused, propagation) != refused.end()) {
        return config_unsupported("linux.rootfsPropagation " + propagation);
    }
    return config_error("linux.rootfsPropagation: no such propagation: \"" + propagation + "\"");
}

Result<void> linux_unsupported_check(const JsonValue& linux_config) {
    for (const char* key : {"intelRdt", "memoryPolicy", "netDevices", "timeOffsets"}) {
        TRY(const JsonValue value, linux_config.object(key));
        TRY(const auto members, value.as_object());
        if (!members.empty()) {
            return config_unsupported("linux." + std::string(key));
        }
    }
    TRY(const JsonValue personality, linux_config.object("personality"));
    TRY(const std::string domain, personality.string_or("domain", "LINUX"));
    if (domain != "LINUX") {
        return config_unsupported("linux.personality " + domain);
    }
    TRY(const std::string label, linux_config.string_or("mountLabel", ""));
    return label.empty() ? Result<void>(ok) : config_unsupported("linux.mountLabel");
}

Result<void> linux_read(OciConfig& config, const JsonValue& root) {
    TRY(const JsonValue linux_config, root.object("linux"));
    if (!linux_config.present()) {
        return config_error("linux is missing");
    }
    ContainerSpec& spec = config.spec;
    TRY_VOID(namespaces_read(config, linux_config));
    TRY_VOID(devices_fill(config, linux_config));
    TRY(config.cgroups_path, linux_config.string_or("cgroupsPath", ""));
    TRY(const JsonValue resources, linux_config.object("resources"));
    TRY(config.resources, oci_resources_parse(resources, false));
    TRY(const auto sysctls, linux_config.string_map("sysctl"));
    spec.sysctls.assign(sysctls.begin(), sysctls.end());
    TRY_VOID(sysctls_check(spec));
    TRY(spec.masked_paths, linux_config.strings("maskedPaths"));
    TRY(spec.readonly_paths, linux_config.strings("readonlyPaths"));
    TRY_VOID(propagation_check(linux_config));
    TRY_VOID(linux_unsupported_check(linux_config));
    return seccomp_read(config, linux_config);
}

/// A procfs that is mounted anew would not show a pid namespace that is joined.
void mounts_prepare(OciConfig& config, const std::vector<bool>& copies_up) {
    const bool joins_pid = config.spec.namespaces.pid == NamespaceMode::join;
    for (std::size_t i = 0; i < config.spec.mounts.size(); ++i) {
        Mount& mount = config.spec.mounts[i];
        if (copies_up[i] || (joins_pid && mount.fstype == "proc")) {
            config.prepared.push_back(mount);
            mount.kind = MountKind::prepared;
            mount.fstype.clear();
        }
    }
}

Result<std::vector<OciHook>> hook_list_read(const JsonValue& hooks, std::string_view key) {
    TRY(const JsonValue array, hooks.array(key));
    TRY(const std::vector<JsonValue> entries, array.as_array());
    std::vector<OciHook> list;
    for (const JsonValue& entry : entries) {
        OciHook hook;
        TRY(hook.path, entry.string_or("path", ""));
        if (!hook.path.starts_with('/')) {
            return config_error("hooks." + std::string(key) + ": path \"" + hook.path +
                                "\" is not absolute");
        }
        TRY(hook.arguments, entry.strings("args"));
        TRY(hook.environment, entry.strings("env"));
        TRY(hook.timeout_s, entry.int64_if("timeout"));
        if (hook.timeout_s.value_or(1) <= 0) {
            return config_error("hooks." + std::string(key) + ": timeout must be positive");
        }
        if (hook.arguments.empty()) {
            hook.arguments = {hook.path};
        }
        list.push_back(std::move(hook));
    }
    return list;
}

}  // namespace

Result<OciHooks> oci_hooks_parse(const JsonValue& json) {
    OciHooks hooks;
    TRY(hooks.prestart, hook_list_read(json, "prestart"));
    TRY(hooks.create_runtime, hook_list_read(json, "createRuntime"));
    TRY(hooks.create_container, hook_list_read(json, "createContainer"));
    TRY(hooks.start_container, hook_list_read(json, "startContainer"));
    TRY(hooks.poststart, hook_list_read(json, "poststart"));
    TRY(hooks.poststop, hook_list_read(json, "poststop"));
    return hooks;
}

Result<OciConfig> oci_config_parse(std::string_view text) {
    TRY(const JsonDocument document, JsonDocument::parse(text));
    const JsonValue root = document.root();
    OciConfig config;
    ContainerSpec& spec = config.spec;
    TRY_VOID(version_check(root));
    TRY(const JsonValue rootfs, root.object("root"));
    TRY(config.root, rootfs.string_or("path", ""));
    if (config.root.empty()) {
        return config_error("root.path is missing");
    }
    TRY(spec.rootfs_readonly, rootfs.bool_or("readonly", false));
    TRY(const JsonValue process, root.object("process"));
    if (!process.present()) {
        return config_error("process is missing");
    }
    TRY(spec.process, oci_process_parse(process, config.warnings));
    TRY(const JsonValue mounts, root.array("mounts"));
    TRY(const std::vector<JsonValue> entries, mounts.as_array());
    std::vector<bool> copies_up;
    for (const JsonValue& entry : entries) {
        TRY(OciMount mount, oci_mount_parse(entry));
        copies_up.push_back(mount.copies_up);
        spec.mounts.push_back(std::move(mount));
    }
    TRY_VOID(linux_read(config, root));
    mounts_prepare(config, copies_up);
    TRY(spec.hostname, root.string_or("hostname", ""));
    TRY(spec.domainname, root.string_or("domainname", ""));
    TRY(config.annotations, root.string_map("annotations"));
    TRY(const JsonValue hooks, root.object("hooks"));
    TRY(config.hooks, oci_hooks_parse(hooks));
    return config;
}

}  // namespace davit
