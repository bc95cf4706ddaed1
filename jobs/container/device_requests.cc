#include "jobs/container/device_requests.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "jobs/container/cdi_registry.h"
#include "jobs/container/field_check.h"

namespace davit {

namespace {

Error failed(ErrorKind kind, const std::string& reason) {
    return Error(kind, "CDI device injection failed: " + reason);
}

/// As Go prints it.
std::string text_of(const std::vector<std::vector<std::string>>& capabilities) {
    std::string text = "[";
    for (const std::vector<std::string>& all_of : capabilities) {
        text.append(text.size() > 1 ? " [" : "[");
        for (const std::string& capability : all_of) {
            text.append(text.ends_with('[') ? "" : " ").append(capability);
        }
        text.append("]");
    }
    return text + "]";
}

Error no_driver(const DeviceRequest& request) {
    return bad("could not select device driver \"" + request.driver +
               "\" with capabilities: " + text_of(request.capabilities));
}

/// The first set of capabilities that a GPU has; null if it has none of them whole.
const std::vector<std::string>* gpu_match(const DeviceRequest& request) {
    static constexpr auto known = std::to_array<std::string_view>(
        {"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"});
    for (const std::vector<std::string>& all_of : request.capabilities) {
        const bool is_gpu = std::ranges::find(all_of, "gpu") != all_of.end();
        if (is_gpu && std::ranges::all_of(all_of, [](const std::string& capability) {
                return std::ranges::find(known, capability) != known.end();
            })) {
            return &all_of;
        }
    }
    return nullptr;
}

/// Gives: the kind that the host has; "" if it has none.
std::string gpu_kind(const CdiRegistry& registry, const std::string& driver) {
    for (const char* kind : {"nvidia.com/gpu", "amd.com/gpu"}) {
        const bool wanted = driver.empty() || std::string_view(kind).starts_with(driver + ".");
        if (wanted && registry.has_kind(kind)) {
            return kind;
        }
    }
    return "";
}

Result<std::vector<std::string>> gpu_names(const DeviceRequest& request, const std::string& kind) {
    constexpr std::int64_t count_max = 1024;
    if (request.count != 0 && !request.device_ids.empty()) {
        return bad("cannot set both Count and DeviceIDs on device request");
    }
    if (!request.options.empty()) {
        return bad("unexpected options in device request for GPUs");
    }
    std::vector<std::string> names;
    for (const std::string& id : request.device_ids) {
        names.push_back(kind + "=" + id);
    }
    if (request.count < 0) {
        names.push_back(kind + "=all");
    }
    if (request.count > count_max) {
        return bad("device request for " + std::to_string(request.count) + " GPUs");
    }
    for (std::int64_t i = 0; i < request.count; ++i) {
        names.push_back(kind + "=" + std::to_string(i));
    }
    return names;
}

Result<CdiEdits> gpus_resolve(const DeviceRequest& request, const CdiRegistry& registry) {
    const std::vector<std::string>* capabilities = gpu_match(request);
    const std::string kind = gpu_kind(registry, request.driver);
    if (capabilities == nullptr || kind.empty()) {
        return no_driver(request);
    }
    TRY(const std::vector<std::string> names, gpu_names(request, kind));
    TRY(CdiEdits edits, registry.edits_of(names));
    std::string shown;
    for (const std::string& capability : *capabilities) {
        if (capability != "gpu" && capability != "nvidia") {
            shown.append(shown.empty() ? "" : ",").append(capability);
        }
    }
    if (!shown.empty()) {
        edits.env.push_back("NVIDIA_DRIVER_CAPABILITIES=" + shown);
    }
    return edits;
}

Result<CdiEdits> cdi_resolve(const DeviceRequest& request, const CdiRegistry& registry) {
    if (request.count != 0) {
        return bad("unexpected count in CDI device request");
    }
    if (!request.options.empty()) {
        return bad("unexpected options in CDI device request");
    }
    return registry.edits_of(request.device_ids);
}

/// Follows: CDI's pkg/cdi/container-edits_unix.go, fillInfo().
Result<Device> device_of(const CdiDeviceNode& node, std::uint32_t uid, std::uint32_t gid) {
    const std::string& host = node.host_path.empty() ? node.path : node.host_path;
    std::string type = node.type == "u" ? "c" : node.type;
    Device device{.path = node.path,
                  .major = node.major.value_or(0),
                  .minor = node.minor.value_or(0),
                  .uid = node.uid.value_or(uid),
                  .gid = node.gid.value_or(gid)};
    if (type.empty() || (device.major == 0 && type != "p")) {
        struct stat found {};

        const std::string what = "failed to stat CDI host device \"" + host + "\": ";
        if (::lstat(host.c_str(), &found) != 0) {
            return failed(ErrorKind::internal, what + errno_text(errno));
        }
        const char* there = S_ISBLK(found.st_mode)    ? "b"
                            : S_ISCHR(found.st_mode)  ? "c"
                            : S_ISFIFO(found.st_mode) ? "p"
                                                      : "";
        if (*there == '\0') {
            return failed(ErrorKind::internal, what + "not a device node");
        }
        if (!type.empty() && type != there) {
            return failed(ErrorKind::internal,
                          "CDI device (\"" + node.path + "\", \"" + host +
                              "\"), host type mismatch (" + type + ", " + there + ")");
        }
        type = there;
        device.major = major(found.st_rdev);
        device.minor = minor(found.st_rdev);
    }
    constexpr mode_t permissions_default = 0666;
    constexpr mode_t permissions_mask = 07777;
    const mode_t format = type == "b" ? S_IFBLK : type == "p" ? S_IFIFO : S_IFCHR;
    device.mode = format | (node.file_mode.value_or(permissions_default) & permissions_mask);
    return device;
}

Result<void> option_take(Mount& mount, const std::string& option) {
    struct Known {
        std::string_view name;
        std::uint64_t set;
        std::uint64_t clear;
        std::uint64_t propagation = 0;
    };

    static constexpr auto known = std::to_array<Known>({
        {"ro", MOUNT_ATTR_RDONLY, 0},
        {"rw", 0, MOUNT_ATTR_RDONLY},
        {"nosuid", MOUNT_ATTR_NOSUID, 0},
        {"suid", 0, MOUNT_ATTR_NOSUID},
        {"nodev", MOUNT_ATTR_NODEV, 0},
        {"dev", 0, MOUNT_ATTR_NODEV},
        {"noexec", MOUNT_ATTR_NOEXEC, 0},
        {"exec", 0, MOUNT_ATTR_NOEXEC},
        {"bind", 0, 0},
        {"rbind", 0, 0},
        {"private", 0, 0, MS_PRIVATE},
        {"rprivate", 0, 0, MS_PRIVATE},
        {"slave", 0, 0, MS_SLAVE},
        {"rslave", 0, 0, MS_SLAVE},
        {"shared", 0, 0, MS_SHARED},
        {"rshared", 0, 0, MS_SHARED},
    });
    const auto found = std::ranges::find(known, option, &Known::name);
    if (found == known.end()) {
        return failed(ErrorKind::unsupported,
                      "the mount at " + mount.target + " has the option \"" + option +
                          "\", which davit does not know: take it out of the spec");
    }
    mount.attributes = (mount.attributes & ~found->clear) | found->set;
    mount.recursive = mount.recursive || option == "rbind";
    mount.propagation = found->propagation != 0 ? found->propagation : mount.propagation;
    return ok;
}

Result<Mount> mount_of(const CdiMount& asked) {
    Mount mount;
    mount.kind = MountKind::bind;
    mount.source = asked.host_path;
    mount.target = asked.container_path;
    mount.recursive = false;
    mount.attributes_recursive = false;
    if (!asked.type.empty() && asked.type != "bind" && asked.type != "none") {
        return failed(ErrorKind::unsupported,
                      "the mount at " + mount.target + " is of type \"" + asked.type +
                          "\": davit does bind mounts only");
    }
    for (const std::string& option : asked.options) {
        TRY_VOID(option_take(mount, option));
    }
    return mount;
}

}  // namespace

Result<CdiEdits> device_requests_resolve(const std::vector<DeviceRequest>& requests,
                                         const std::vector<std::string>& cdi_directories) {
    const CdiRegistry registry = CdiRegistry::read(cdi_directories);
    CdiEdits all;
    for (const DeviceRequest& request : requests) {
        const bool gpus =
            request.driver.empty() || request.driver == "nvidia" || request.driver == "amd";
        if (cdi_directories.empty() || (!gpus && request.driver != "cdi")) {
            return no_driver(request);
        }
        TRY(const CdiEdits edits,
            gpus ? gpus_resolve(request, registry) : cdi_resolve(request, registry));
        all.append(edits);
    }
    return all;
}

Result<void> cdi_edits_apply(ContainerDevices& all,
                             const CdiEdits& edits,
                             std::uint32_t uid,
                             std::uint32_t gid) {
    for (const CdiDeviceNode& node : edits.device_nodes) {
        TRY(Device device, device_of(node, uid, gid));
        if (!S_ISFIFO(device.mode)) {
            all.rules.push_back(device_rule_for(device, node.permissions));
        }
        all.nodes.push_back(std::move(device));
    }
    for (const CdiMount& asked : edits.mounts) {
        TRY(Mount mount, mount_of(asked));
        all.mounts.push_back(std::move(mount));
    }
    all.environment.insert(all.environment.end(), edits.env.begin(), edits.env.end());
    for (const std::uint32_t group : edits.additional_gids) {
        if (group != 0) {  // Follows: CDI SPEC.md, additionalGids.
            all.additional_gids.push_back(group);
        }
    }
    return ok;
}

}  // namespace davit
