// The volumes of a container that is made or removed.
#include "jobs/container_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "drivers/graph/flat/tree_apply.h"
#include "graph/image_store.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/volume/volume_options.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"

namespace davit {

namespace {

bool is_volume(const MountPoint& mount) {
    return mount.type == "volume";
}

/// What an image has at a mount's destination, its symbolic links resolved within the root.
/// Gives: no descriptor if there is nothing. Errors: invalid_argument for a file.
Result<Fd> image_directory(int rootfs, const MountPoint& mount) {
    constexpr std::uint64_t within = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    Result<Fd> found = Fd::openat2(rootfs, mount.destination, O_RDONLY | O_DIRECTORY, within);
    if (!found && found.error().errno_value() == ENOENT) {
        return Fd();
    }
    if (!found && found.error().errno_value() == ENOTDIR) {
        return Error(ErrorKind::invalid_argument,
                     "cannot mount volume over existing file, file exists " + mount.destination);
    }
    return found;
}

Task<void> tree_copy(Foreground& foreground, Fd from, Fd to) {
    const Foreground::Pass pass(foreground);
    constexpr std::size_t entries_per_step = 256;  // How late a cancel may be.
    TreeApply copy(std::move(from), std::move(to), TreeApplyOptions{});
    for (bool more = true; more;) {
        auto step = [&copy] { return copy.step(entries_per_step); };
        CO_TRY(more, co_await offload_bulk(step));
    }
    co_return ok;
}

VolumeRequest request_of(const MountPoint& mount) {
    VolumeRequest request;
    request.name = mount.name;
    request.driver = mount.driver;
    request.labels = mount.volume_labels;
    request.options = mount.volume_options;
    return request;
}

}  // namespace

Task<void> ContainerVolumes::make() {
    ContainerRecord& record = container_.record;
    claimed_.resize(record.mounts.size());
    for (MountPoint& mount : record.mounts) {
        if (is_volume(mount)) {
            CO_CHECK(co_await claim(mount));
        }
    }
    co_return co_await fill_all();
}

Task<void> ContainerVolumes::claim(MountPoint& mount) {
    const ContainerRecord& record = container_.record;
    const auto index = static_cast<std::size_t>(&mount - record.mounts.data());
    const std::string user = record.id.str();
    VolumeRequest request = request_of(mount);
    // An anonymous volume of another container's (--volumes-from) is there already.
    if (mount.anonymous && !daemon_.volumes->find(mount.name)) {
        const ContainerHome home =
            record.host_config.auto_remove ? ContainerHome::run : ContainerHome::graph;
        CO_TRY(claimed_[index], daemon_.volumes->stage(std::move(request), user, home));
        staged_.push_back(claimed_[index]);
        co_return ok;
    }
    request.driver = mount.driver;
    CO_TRY(claimed_[index], co_await daemon_.volumes->create(std::move(request), user));
    // It no longer goes with the container that it was made for.
    CO_CHECK(co_await daemon_.volumes->keep(claimed_[index]));
    mount.driver = claimed_[index]->record.driver;
    co_return ok;
}

Task<void> ContainerVolumes::fill_all() {
    const std::vector<MountPoint>& mounts = container_.record.mounts;
    Fd rootfs;
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const MountPoint& mount = mounts[i];
        if (!claimed_[i] || !mount.copy_up) {
            continue;
        }
        if (!rootfs) {
            CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon_, container_.record));
            CO_TRY(rootfs, co_await rootfs_mount(*daemon_.graph_driver, std::move(spec)));
        }
        const bool is_staged = std::ranges::find(staged_, claimed_[i]) != staged_.end();
        CO_CHECK(co_await fill(mount, *claimed_[i], is_staged, rootfs.get()));
    }
    co_return ok;
}

/// Follows: Docker's daemon/create_unix.go populateVolumes(): an empty volume becomes a copy of the
/// image's directory, with its owner and mode.
Task<void> ContainerVolumes::fill(const MountPoint& mount,
                                  Volume& volume,
                                  bool is_staged,
                                  int rootfs) {
    CO_TRY(Fd from, image_directory(rootfs, mount));
    if (!from) {
        co_return ok;
    }
    const VolumeDirectory& directory = daemon_.volumes->directory();
    const std::string& name = volume.record.name;
    if (is_staged) {
        CO_TRY(Fd to,
               Fd::open(directory.staged_data_path(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        co_return co_await tree_copy(daemon_.foreground, std::move(from), std::move(to));
    }
    if (volume_is_mounted(volume.record.options)) {
        co_return co_await fill_mounted(volume, std::move(from));
    }
    CO_TRY(const Semaphore::Permit permit, co_await volume.turn.lock());
    CO_TRY(const bool empty, directory.is_empty(name));
    if (!empty) {
        co_return ok;
    }
    CO_TRY(Fd to, directory.filling_make(name));
    Result<void> copied = co_await tree_copy(daemon_.foreground, std::move(from), std::move(to));
    if (!copied) {
        directory.filling_drop(name);
        co_return copied;
    }
    // What others have open must stay where it is.
    co_return volume.mounted_by.empty() ? directory.filling_take(name)
                                        : directory.filling_spread(name);
}

Task<void> ContainerVolumes::fill_mounted(Volume& volume, Fd from) {
    const std::string user = "fill " + container_.record.id.str();
    const std::shared_ptr<Volume> shared = *std::ranges::find_if(
        claimed_, [&](const auto& claimed) { return claimed.get() == &volume; });
    CO_CHECK(co_await daemon_.volumes->mount(shared, user));
    const auto fill_open = [](Daemon& daemon, Volume& filled, Fd source) -> Task<void> {
        const VolumeDirectory& directory = daemon.volumes->directory();
        CO_TRY(const Semaphore::Permit permit, co_await filled.turn.lock());
        CO_TRY(const bool empty, directory.is_empty(filled.record.name));
        // A copy file by file is not for a directory in which others may move things about.
        if (!empty || filled.mounted_by.size() > 1) {
            co_return ok;
        }
        CO_TRY(Fd to, directory.data_open(filled.record.name));
        co_return co_await tree_copy(daemon.foreground, std::move(source), std::move(to));
    };
    Result<void> filled = co_await fill_open(daemon_, volume, std::move(from));
    Result<void> unmounted = co_await shielded(daemon_.volumes->unmount(shared, user));
    co_return filled ? std::move(unmounted) : std::move(filled);
}

Task<void> ContainerVolumes::publish() {
    Result<void> done = ok;
    for (const auto& volume : staged_) {
        if (done) {
            done = daemon_.volumes->published(volume);
        }
        if (!done) {
            static_cast<void>(co_await daemon_.volumes->forget(volume));
        }
    }
    co_return done;
}

void ContainerVolumes::unstage() {
    for (const auto& volume : staged_) {
        daemon_.volumes->unstage(*volume);
    }
}

MountLookups container_mount_lookups(const Daemon& daemon) {
    MountLookups lookups;
    lookups.mounts_of = [&daemon](const std::string& name) -> Result<std::vector<MountPoint>> {
        TRY(const auto container, daemon.containers.find(name));
        return container->record.mounts;
    };
    lookups.image = [&daemon](const std::string& name) -> Result<MountImage> {
        return daemon.graph->view([&](const ReadTxn& txn) -> Result<MountImage> {
            TRY(const ImageMatch match, image_resolve(txn, name));
            TRY(const auto record, image_get(txn, match.id));
            if (!record) {
                return Error(ErrorKind::not_found, "No such image: " + name);
            }
            return MountImage{record->id, record->chain_id};
        });
    };
    lookups.volume_path = [&daemon](const std::string& name) {
        return daemon.volumes->directory().data_path(name);
    };
    return lookups;
}

std::vector<Digest> container_mounted_chains(const ContainerRecord& record) {
    std::vector<Digest> chains;
    for (const MountPoint& mount : record.mounts) {
        const bool known = std::ranges::find(chains, mount.chain_id) != chains.end();
        if (!mount.chain_id.empty() && !known) {
            chains.push_back(mount.chain_id);
        }
    }
    return chains;
}

void container_volumes_hold(Daemon& daemon, const Container& container) {
    for (const MountPoint& mount : container.record.mounts) {
        if (!is_volume(mount)) {
            continue;
        }
        if (const auto volume = daemon.volumes->find(mount.name)) {
            (*volume)->users.insert(container.id().str());
        }
    }
}

void container_volumes_running(Daemon& daemon, const Container& container) {
    for (const MountPoint& mount : container.record.mounts) {
        const auto volume =
            is_volume(mount) ? daemon.volumes->find(mount.name) : Error(ErrorKind::not_found, "");
        if (volume) {
            (*volume)->mounted_by.insert(container.id().str());
        }
    }
}

Task<void> container_volumes_release(Daemon& daemon, ContainerRecord record, bool remove) {
    for (const MountPoint& mount : record.mounts) {
        const auto volume =
            is_volume(mount) ? daemon.volumes->find(mount.name) : Error(ErrorKind::not_found, "");
        if (!volume) {
            continue;
        }
        (*volume)->users.erase(record.id.str());
        if (!remove || !mount.anonymous) {
            continue;
        }
        const Result<void> removed = co_await daemon.volumes->remove(mount.name);
        if (!removed && removed.error().kind() != ErrorKind::not_found &&
            removed.error().kind() != ErrorKind::conflict) {
            co_return removed.error();
        }
    }
    co_return ok;
}

}  // namespace davit
