#include "jobs/container/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "jobs/container/device_requests.h"

namespace davit {

namespace {

Error gathering(const std::string& path, std::string_view reason) {
    return Error(ErrorKind::invalid_argument,
                 "error gathering device information while adding custom device \"" + path +
                     "\": " + std::string(reason));
}

/// Nothing for what is no device node, or is gone.
std::optional<Device> device_at(const std::string& path) {
    struct stat found {};

    if (::lstat(path.c_str(), &found) != 0 || !(S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode))) {
        return std::nullopt;
    }
    return Device{.path = path,
                  .mode = found.st_mode,
                  .major = major(found.st_rdev),
                  .minor = minor(found.st_rdev),
                  .uid = found.st_uid,
                  .gid = found.st_gid};
}

/// Call for every device node below a directory.
template <typename Function>
void each_device(const std::filesystem::path& directory, Function&& function) {
    // What the container has of its own, or what only means something to another: as Docker.
    static constexpr auto left_out = std::to_array<std::string_view>(
        {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"});
    std::error_code error;
    auto entry = std::filesystem::recursive_directory_iterator(directory, error);
    for (; !error && entry != std::filesystem::recursive_directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        std::error_code gone;
        if (entry->symlink_status(gone).type() == std::filesystem::file_type::directory) {
            for (const std::string_view other : left_out) {
                if (name == other) {
                    entry.disable_recursion_pending();
                }
            }
            continue;
        }
        if (name == "console") {
            continue;
        }
        if (auto device = device_at(entry->path())) {
            function(*std::move(device));
        }
    }
}

Result<std::string> resolved(const std::string& path) {
    std::array<char, PATH_MAX> real{};
    if (::realpath(path.c_str(), real.data()) == nullptr) {
        return gathering(path, errno == ENOENT ? "no such file or directory" : errno_text(errno));
    }
    return std::string(real.data());
}

Result<void> mapping_add(ContainerDevices& all, const DeviceMapping& mapping) {
    TRY(const std::string host, resolved(mapping.path_on_host));
    const std::string& target =
        mapping.path_in_container.empty() ? mapping.path_on_host : mapping.path_in_container;
    const auto add = [&](Device device, std::string path) {
        all.rules.push_back(device_rule_for(device, mapping.cgroup_permissions));
        device.path = std::move(path);
        all.nodes.push_back(std::move(device));
    };
    if (auto device = device_at(host)) {
        add(*std::move(device), target);
        return ok;
    }
    const std::size_t before = all.nodes.size();
    std::error_code error;
    if (std::filesystem::is_directory(host, error)) {
        each_device(host, [&](Device device) {
            std::string path = target + device.path.substr(host.size());
            add(std::move(device), std::move(path));
        });
    }
    if (all.nodes.size() == before) {
        return gathering(mapping.path_on_host, "not a device node");
    }
    return ok;
}

/// Takes: member, the number in an entry of `asked`.
template <typename Entry, typename Number>
Result<void> block_limits_add(std::vector<BlockLimits::Limit>& limits,
                              const std::vector<Entry>& asked,
                              Number Entry::*member) {
    for (const Entry& entry : asked) {
        TRY(const std::string path, resolved(entry.path));
        const std::optional<Device> device = device_at(path);
        if (!device || !S_ISBLK(device->mode)) {
            return gathering(entry.path, "not a block device");
        }
        limits.push_back({.major = device->major, .minor = device->minor, .value = entry.*member});
    }
    return ok;
}

}  // namespace

DeviceRule device_rule_for(const Device& device, std::string_view permissions) {
    const auto has = [&](char letter) {
        return permissions.empty() || permissions.find(letter) != std::string_view::npos;
    };
    return {.type = S_ISBLK(device.mode) ? DeviceRule::Type::block : DeviceRule::Type::character,
            .major = device.major,
            .minor = device.minor,
            .read = has('r'),
            .write = has('w'),
            .make = has('m')};
}

bool container_has_devices(const HostConfig& config) {
    return config.privileged || !config.devices.empty() || !config.device_requests.empty() ||
           !config.blkio_weight_device.empty() || !config.blkio_device_read_bps.empty() ||
           !config.blkio_device_write_bps.empty() || !config.blkio_device_read_iops.empty() ||
           !config.blkio_device_write_iops.empty();
}

Result<ContainerDevices> container_devices(const HostConfig& config,
                                           const std::vector<std::string>& cdi_directories,
                                           std::uint32_t uid,
                                           std::uint32_t gid) {
    ContainerDevices all;
    if (config.privileged) {
        each_device("/dev", [&](Device device) {
            // The container's own devpts has one.
            if (device.path != "/dev/ptmx") {
                all.nodes.push_back(std::move(device));
            }
        });
    }
    for (const DeviceMapping& mapping : config.devices) {
        TRY_VOID(mapping_add(all, mapping));
    }
    if (!config.device_requests.empty()) {
        TRY(const CdiEdits edits, device_requests_resolve(config.device_requests, cdi_directories));
        TRY_VOID(cdi_edits_apply(all, edits, uid, gid));
    }
    BlockLimits& limits = all.block_limits;
    constexpr auto rate = &DeviceRate::rate;
    TRY_VOID(block_limits_add(limits.weight, config.blkio_weight_device, &DeviceWeight::weight));
    TRY_VOID(block_limits_add(limits.read_bps, config.blkio_device_read_bps, rate));
    TRY_VOID(block_limits_add(limits.write_bps, config.blkio_device_write_bps, rate));
    TRY_VOID(block_limits_add(limits.read_iops, config.blkio_device_read_iops, rate));
    TRY_VOID(block_limits_add(limits.write_iops, config.blkio_device_write_iops, rate));
    return all;
}

}  // namespace davit
