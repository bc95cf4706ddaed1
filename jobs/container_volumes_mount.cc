// The volumes and image mounts of a container that starts or has ended.
#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "graph/layer_store.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/volume/volume_options.h"
#include "libcontainer/mount.h"
#include "libcontainer/mount_borrow.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

/// Something below an open directory, to be mounted: no symbolic link leads out of it.
Result<Fd> subpath_open(int base, const std::string& shown_base, const std::string& subpath) {
    constexpr std::uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    Result<Fd> found = Fd::openat2(base, subpath, O_PATH, beneath);
    if (found) {
        return found;
    }
    const int number = found.error().errno_value();
    if (number == EXDEV || number == ELOOP) {
        return Error(ErrorKind::internal,
                     fmt::format("path concatenation escapes the base directory: \"{}\" + \"{}\"",
                                 shown_base,
                                 subpath));
    }
    return Error(ErrorKind::internal,
                 fmt::format("cannot access path {0}/{1}: lstat {0}/{1}: {2}",
                             shown_base,
                             subpath,
                             errno_text(number)));
}

Result<Fd> attributes_set(Fd mount, bool read_write) {
    MountAttributes change;
    change.set = read_write ? 0 : MOUNT_ATTR_RDONLY;
    change.propagation = MS_PRIVATE;
    change.recursive = true;
    TRY_VOID(mount_attributes_change(mount.get(), change));
    return mount;
}

/// A part of a volume as a mount of its own. user_namespace: whose ids its files have; -1: its own.
Result<Fd> volume_part(const MountPoint& mount, int user_namespace) {
    TRY(const Fd base, Fd::open(mount.source, O_PATH | O_DIRECTORY));
    TRY(const Fd part, subpath_open(base.get(), mount.source, mount.subpath));
    TRY(Fd tree, open_tree_clone(part.get(), "", true));
    if (user_namespace >= 0) {
        TRY_VOID(mount_map_ids(tree.get(), user_namespace, "volume " + mount.name));
    }
    return attributes_set(std::move(tree), mount.read_write);
}

/// The layers of an image, read-only.
Task<Fd> image_mount(Daemon& daemon, MountPoint mount, bool maps_ids) {
    RootfsSpec spec;
    spec.maps_ids = maps_ids;
    if (!mount.chain_id.empty()) {
        CO_TRY(spec.layers, daemon.graph->view([&](const ReadTxn& txn) {
            return chain_directories(txn, mount.chain_id);
        }));
    }
    CO_TRY(Fd root, co_await rootfs_mount(*daemon.graph_driver, std::move(spec)));
    if (mount.subpath.empty()) {
        co_return attributes_set(std::move(root), false);
    }
    CO_TRY(const Fd part, subpath_open(root.get(), mount.name, mount.subpath));
    Result<Fd> tree = open_tree_clone(part.get(), "", true);
    if (!tree && tree.error().errno_value() == EINVAL) {
        auto copy = [mount_fd = root.get(), part_fd = part.get()] {
            return mount_part_copy(mount_fd, part_fd);
        };
        tree = co_await offload(std::move(copy));
    }
    CO_TRY(Fd copied, std::move(tree));
    co_return attributes_set(std::move(copied), false);
}

Task<void> volume_mount(Daemon& daemon, const ContainerRecord& record, const MountPoint& mount) {
    CO_TRY(const std::shared_ptr<Volume> volume, daemon.volumes->find(mount.name));
    CO_CHECK(co_await daemon.volumes->mount(volume, record.id.str()));
    daemon.volumes->event(*volume,
                          "mount",
                          {{"container", record.id.str()},
                           {"destination", mount.destination},
                           {"read/write", mount.read_write ? "true" : "false"},
                           {"propagation", mount.propagation}});
    co_return ok;
}

}  // namespace

bool container_has_volumes(const ContainerRecord& record) {
    return std::ranges::any_of(record.mounts, [](const MountPoint& mount) {
        return mount.type == "volume" || mount.type == "image";
    });
}

std::set<std::string> volumes_unmapped(const Daemon& daemon, const ContainerRecord& record) {
    std::set<std::string> names;
    for (const MountPoint& mount : record.mounts) {
        const auto volume = mount.type == "volume" ? daemon.volumes->find(mount.name)
                                                   : Error(ErrorKind::not_found, "");
        if (volume && volume_is_mounted((*volume)->record.options)) {
            names.insert(mount.name);
        }
    }
    return names;
}

Task<std::vector<Fd>> container_volumes_mount(Daemon& daemon,
                                              const ContainerRecord& record,
                                              int user_namespace) {
    const std::set<std::string> unmapped = volumes_unmapped(daemon, record);
    std::vector<Fd> prepared;
    for (const MountPoint& mount : record.mounts) {
        if (mount.type == "volume") {
            CO_CHECK(co_await volume_mount(daemon, record, mount));
        }
        if (!mount_is_prepared(mount)) {
            continue;
        }
        if (mount.type == "image") {
            CO_TRY(Fd image, co_await image_mount(daemon, mount, user_namespace >= 0));
            prepared.push_back(std::move(image));
        } else {
            const bool maps_ids = !unmapped.contains(mount.name);
            CO_TRY(Fd part, volume_part(mount, maps_ids ? user_namespace : -1));
            prepared.push_back(std::move(part));
        }
    }
    co_return std::move(prepared);
}

Task<void> container_volumes_unmount(Daemon& daemon, ContainerRecord record) {
    for (const MountPoint& mount : record.mounts) {
        const auto volume = mount.type == "volume" ? daemon.volumes->find(mount.name)
                                                   : Error(ErrorKind::not_found, "");
        if (!volume || !(*volume)->mounted_by.contains(record.id.str())) {
            continue;
        }
        const Result<void> done =
            co_await shielded(daemon.volumes->unmount(*volume, record.id.str()));
        if (!done) {
            LOG_WARN("container={}: unmount volume {}: {}, ignoring",
                     record.id.short_id(),
                     mount.name,
                     done.error().message());
        }
        daemon.volumes->event(**volume, "unmount", {{"container", record.id.str()}});
    }
    co_return ok;
}

}  // namespace davit
