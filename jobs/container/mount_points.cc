#include "jobs/container/mount_points.h"

#include <sys/mount.h>

#include <algorithm>
#include <set>

#include "jobs/container/mount_parse.h"
#include "jobs/container/path_clean.h"
#include "reactor/base/ids.h"

namespace davit {

namespace {

/// The mounts below follow their top: the spec's Mount has one propagation, and applies it to what
/// the bind brought along. Follows: mount_namespaces(7) "SHARED SUBTREES".
std::uint64_t propagation_of(std::string_view name) {
    const std::string_view kind = name.starts_with('r') ? name.substr(1) : name;
    return kind == "shared"  ? std::uint64_t{MS_SHARED}
           : kind == "slave" ? std::uint64_t{MS_SLAVE}
                             : std::uint64_t{MS_PRIVATE};
}

/// Mounts by destination: what is asked for more directly takes the place of what is inherited, but
/// two that were asked for alike are a mistake.
class MountList {
  public:
    /// It gives way to whatever else has its destination.
    void inherit(MountPoint mount) { replace(std::move(mount)); }

    /// Errors: invalid_argument.
    Result<void> add(MountPoint mount) {
        if (!asked_.insert(mount.destination).second) {
            return Error(ErrorKind::invalid_argument,
                         "Duplicate mount point: " + mount.destination);
        }
        replace(std::move(mount));
        return ok;
    }

    bool has(const std::string& destination) const {
        return std::ranges::find(mounts_, destination, &MountPoint::destination) != mounts_.end();
    }

    /// Outer mounts before inner ones, or they would hide them.
    std::vector<MountPoint> take_sorted() && {
        std::ranges::stable_sort(mounts_, {}, [](const MountPoint& mount) {
            return std::ranges::count(mount.destination, '/');
        });
        return std::move(mounts_);
    }

  private:
    void replace(MountPoint mount) {
        std::erase_if(mounts_, [&](const MountPoint& other) {
            return other.destination == mount.destination;
        });
        mounts_.push_back(std::move(mount));
    }

    std::vector<MountPoint> mounts_;
    std::set<std::string> asked_;
};

Result<void> inherited_add(MountList& list,
                           const std::vector<std::string>& volumes_from,
                           const MountLookups& lookups) {
    for (const std::string& spec : volumes_from) {
        TRY(const VolumesFrom from, volumes_from_parse(spec));
        TRY(std::vector<MountPoint> mounts, lookups.mounts_of(from.container));
        for (MountPoint& mount : mounts) {
            if (!mount.listed) {
                continue;  // What --tmpfs gave is the other container's alone.
            }
            mount.mode.clear();
            mount.read_write = mount.read_write && from.read_write;
            mount.copy_up = false;
            list.inherit(std::move(mount));
        }
    }
    return ok;
}

/// What a mount's name stands for.
Result<MountPoint> named(MountPoint mount, const MountLookups& lookups) {
    if (mount.type == "volume" && lookups.volume_path) {
        mount.source = lookups.volume_path(mount.name);
    }
    if (mount.type == "image") {
        TRY(const MountImage image, lookups.image(mount.name));
        mount.source = image.id.str();
        mount.chain_id = image.chain_id;
    }
    return mount;
}

/// A volume of the image's, or of -v with a path alone.
MountPoint anonymous_volume(const std::string& destination, const std::string& driver) {
    constexpr std::size_t name_bytes = 32;
    MountPoint mount;
    mount.type = "volume";
    mount.name = random_hex(name_bytes);
    mount.driver = driver.empty() ? "local" : driver;
    mount.destination = destination;
    mount.copy_up = true;
    mount.anonymous = true;
    return mount;
}

}  // namespace

Result<std::vector<MountPoint>> mount_points_resolve(const HostConfig& config,
                                                     const std::set<std::string>& volumes,
                                                     const MountLookups& lookups) {
    MountList list;
    TRY_VOID(inherited_add(list, config.volumes_from, lookups));
    for (const std::string& spec : config.binds) {
        TRY(MountPoint mount, mount_bind_parse(spec, config.volume_driver));
        TRY(mount, named(std::move(mount), lookups));
        TRY_VOID(list.add(std::move(mount)));
    }
    for (const MountRequest& request : config.mounts) {
        TRY(MountPoint mount, mount_request_parse(request));
        TRY(mount, named(std::move(mount), lookups));
        TRY_VOID(list.add(std::move(mount)));
    }
    for (const auto& [target, options] : config.tmpfs) {
        TRY(MountPoint mount, mount_tmpfs_parse(target, options));
        mount.listed = false;
        TRY_VOID(list.add(std::move(mount)));
    }
    for (const std::string& volume : volumes) {
        const std::string destination = path_clean(volume);
        if (destination == "/") {
            return Error(ErrorKind::invalid_argument,
                         "invalid volume specification: '" + volume +
                             "': invalid specification: destination can't be '/'");
        }
        if (!list.has(destination)) {
            MountPoint mount = anonymous_volume(destination, config.volume_driver);
            TRY(mount, named(std::move(mount), lookups));
            list.inherit(std::move(mount));
        }
    }
    return std::move(list).take_sorted();
}

bool mount_is_prepared(const MountPoint& point) {
    return point.type == "image" || !point.subpath.empty();
}

Result<Mount> mount_point_spec(const MountPoint& point) {
    if (point.type == "tmpfs") {
        return tmpfs_spec(point);
    }
    Mount mount;
    mount.kind = mount_is_prepared(point) ? MountKind::prepared : MountKind::bind;
    mount.source = point.source;
    mount.target = point.destination;
    mount.attributes = point.read_write ? 0 : MOUNT_ATTR_RDONLY;
    mount.propagation = propagation_of(point.propagation);
    mount.recursive = point.recursive;
    mount.attributes_recursive = point.read_only_recursive;
    return mount;
}

}  // namespace davit
