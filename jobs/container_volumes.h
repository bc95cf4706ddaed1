#pragma once
/// What a container has to do with volumes and with the images it mounts, from create to remove.
///
/// A container is written into its volumes' users when it is made, and when the daemon starts; so
/// the containers' records say who uses what, and nothing else has to be kept in step with them.
#include <memory>
#include <vector>

#include "jobs/container/container.h"
#include "jobs/container/mount_points.h"
#include "jobs/volume/volume_service.h"

namespace davit {

class Daemon;

/// The volumes of a container that is being made. Named ones are made at once, as if by
/// `volume create`, and stay whatever becomes of the container; anonymous ones are staged, and get
/// their records in the container's own transaction. Empty volumes are filled from the image.
class ContainerVolumes {
  public:
    ContainerVolumes(Daemon& daemon, Container& container)
        : daemon_(daemon), container_(container) {}

    /// Errors: as VolumeService::create(); invalid_argument ("cannot mount volume over existing
    ///         file, ..."); what the disk says. What was made is in staged() all the same.
    Task<void> make();

    /// For Daemon::container_insert().
    const std::vector<std::shared_ptr<Volume>>& staged() const { return staged_; }

    /// Their records are committed, or will never be.
    Task<void> publish();
    void unstage();

  private:
    Task<void> claim(MountPoint& mount);
    Task<void> fill(const MountPoint& mount, Volume& volume, bool is_staged, int rootfs);
    Task<void> fill_mounted(Volume& volume, Fd from);
    Task<void> fill_all();

    Daemon& daemon_;
    Container& container_;
    std::vector<std::shared_ptr<Volume>> staged_;
    /// Parallel to the container's mounts; null for what is no volume.
    std::vector<std::shared_ptr<Volume>> claimed_;
};

/// For mount_points_resolve(). The daemon must outlive it.
MountLookups container_mount_lookups(const Daemon& daemon);

/// The chains of the images among its mounts, each once.
std::vector<Digest> container_mounted_chains(const ContainerRecord& record);

/// Whether a start or an end has anything to do with volumes or images.
bool container_has_volumes(const ContainerRecord& record);

/// Write a container into its volumes' users: at the daemon's start. Volumes that are gone are
/// missed when it starts.
void container_volumes_hold(Daemon& daemon, const Container& container);

/// It runs already: an earlier daemon has mounted them.
void container_volumes_running(Daemon& daemon, const Container& container);

/// The names of its volumes that are mounts of the host's (volume_is_mounted()).
std::set<std::string> volumes_unmapped(const Daemon& daemon, const ContainerRecord& record);

/// Before it runs. Gives: the mounts that are passed to the launch, in order.
/// Takes:  the user namespace whose ids their files shall have; -1: those that they have on disk.
/// Errors: not_found (a volume, or a subpath); internal (mount(2), in Docker's words).
Task<std::vector<Fd>> container_volumes_mount(Daemon& daemon,
                                              const ContainerRecord& record,
                                              int user_namespace = -1);

/// After it ran. What fails is logged.
Task<void> container_volumes_unmount(Daemon& daemon, ContainerRecord record);

/// It uses them no longer. Takes: remove: its anonymous volumes go, unless others use them.
/// Errors: what the disk says.
Task<void> container_volumes_release(Daemon& daemon, ContainerRecord record, bool remove);

}  // namespace davit
