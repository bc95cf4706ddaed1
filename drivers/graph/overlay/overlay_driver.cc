#include "drivers/graph/overlay/overlay_driver.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "drivers/graph/file_system.h"
#include "drivers/graph/overlay/overlay_probe.h"
#include "drivers/graph/project_quota.h"
#include "graph/whiteout.h"
#include "libcontainer/mount.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/ids.h"
#include "reactor/base/tree_remove.h"
#include "reactor/offload.h"

namespace davit {

namespace {

constexpr const char* empty_layer = "empty";
constexpr const char* mapped_dir = "mapped";
const std::string no_path;

}  // namespace

Result<std::unique_ptr<OverlayDriver>> OverlayDriver::open(const std::string& data_root) {
    TRY(Base base, base_open(data_root + "/overlay", {}, nullptr));
    // Seen as the root of a container without layers.
    if (::mkdirat(base.fd.get(), empty_layer, 0755) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "mkdirat", empty_layer);
    }
    std::unique_ptr<OverlayDriver> driver(new OverlayDriver(std::move(base)));
    TRY_VOID(driver->probe());
    return driver;
}

Result<void> OverlayDriver::probe() {
    const OverlayBase base{base_.get(), path_};
    overlay_mount_point_clear(base);
    TRY(method_, overlay_mount_method_probe(base));
    const std::string scratch = staged_path("probe-" + random_hex(4));
    Result<void> usable = overlay_probe(base, method_, scratch);
    TRY_VOID(remove_tree(base_.get(), scratch));
    return usable;
}

DriverStatus OverlayDriver::status() const {
    const std::string backing = file_system_name(base_.get());
    // As Docker has it: "extfs" is what it calls ext4. What the probe did not find would have been
    // refused; the rest is what overlay_mount() always sets.
    return {{"Backing Filesystem", backing == "ext4" ? "extfs" : backing},
            {"Supports d_type", "true"},
            {"Using metacopy", "false"},
            {"Native Overlay Diff", "true"},
            {"userxattr", overlay_xattrs_are_user() ? "true" : "false"}};
}

Result<void> OverlayDriver::rw_create(const std::string& name) {
    const std::string path = rw_path(name);
    TRY_VOID(make_dir(path, 0700));
    for (const char* part : {"/diff", "/work"}) {
        Result<void> made = make_dir(path + part, 0755);
        if (!made) {
            // In place: a disk that has no room for it may have none for the trash.
            static_cast<void>(remove_tree(base_.get(), path));
            return made;
        }
    }
    return ok;
}

Task<void> OverlayDriver::rw_limit(std::string name, std::uint64_t bytes_max) {
    const std::string path = rw_path(name);
    std::vector<std::string> paths{path, path + "/diff", path + "/work"};
    auto limit = [dir = base_.get(), paths = std::move(paths), name, bytes_max] {
        return project_quota_set(dir, paths, name, bytes_max);
    };
    Result<void> limited = co_await offload(std::move(limit));
    if (!limited && limited.error().kind() == ErrorKind::unsupported) {
        co_return Error(ErrorKind::internal,
                        "--storage-opt is supported only for overlay over xfs with 'pquota' mount "
                        "option, or ext4 with 'prjquota'");
    }
    co_return limited;
}

Result<Fd> OverlayDriver::rw_open(const std::string& name) const {
    return Fd::openat(base_.get(), rw_path(name) + "/diff", O_RDONLY | O_DIRECTORY);
}

OverlayDriver::~OverlayDriver() {
    if (!mapped_path_.empty()) {
        static_cast<void>(mount_detach(mapped_path_));
    }
}

Result<void> OverlayDriver::mapped_probe() const {
    const std::string scratch = staged_path("probe-" + random_hex(4));
    const FileOwnerGuard owner(mapped_uid_, mapped_gid_);
    Result<void> usable = overlay_probe({mapped_.get(), no_path}, method_, scratch);
    TRY_VOID(remove_tree(base_.get(), scratch));
    return usable;
}

Result<void> OverlayDriver::map_ids(Fd user_namespace, const IdMap& ids) {
    mapped_uid_ = ids.uid_outside(0).value_or(0);
    mapped_gid_ = ids.gid_outside(0).value_or(0);
    const std::string place = path_ + "/" + mapped_dir;
    while (mount_detach(place)) {  // An earlier daemon was killed.
    }
    TRY(mapped_, open_tree_clone(base_.get(), "", false));
    MountAttributes attributes;
    attributes.clear = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    attributes.propagation = MS_PRIVATE;
    TRY_VOID(mount_attributes_change(mapped_.get(), attributes));
    TRY_VOID(mount_map_ids(mapped_.get(), user_namespace.get(), path_));
    if (mapped_probe()) {
        return ok;
    }
    if (::mkdirat(base_.get(), mapped_dir, 0700) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "mkdirat", mapped_dir);
    }
    TRY_VOID(mount_attach(mapped_.get(), base_.get(), mapped_dir));
    mapped_path_ = place;
    TRY(mapped_, Fd::open(place, O_RDONLY | O_DIRECTORY));
    return mapped_probe();
}

Result<Fd> OverlayDriver::mount(const RootfsSpec& spec) const {
    OverlaySpec overlay;
    overlay.lower.reserve(spec.layers.size() + 1);
    for (auto layer = spec.layers.rbegin(); layer != spec.layers.rend(); ++layer) {
        // The same layer further down changes nothing that the upper one does not say again, and
        // overlayfs refuses a directory that it has twice.
        if (std::ranges::find(spec.layers.rbegin(), layer, *layer) == layer) {
            overlay.lower.push_back(layer_path(*layer));
        }
    }
    const std::size_t lower_min = spec.rw_name.empty() ? 2 : 1;
    if (overlay.lower.size() < lower_min) {
        overlay.lower.emplace_back(empty_layer);
    }
    if (overlay.lower.size() < lower_min) {
        // No layer at all and read-only: an empty directory twice over is refused as overlapping.
        return Error(ErrorKind::invalid_argument, "nothing to mount: no layer, and read-only");
    }
    if (!spec.rw_name.empty()) {
        const std::string rw = rw_path(spec.rw_name);
        overlay.upper = rw + "/diff";
        overlay.work = rw + "/work";
        overlay.is_volatile = spec.rw_volatile;
        if (spec.rw_volatile) {
            // A volatile mount leaves this mark, which refuses the next one, since a crash of the
            // machine may have lost data. These containers do not outlive the machine.
            TRY_VOID(remove_tree(base_.get(), overlay.work + "/work/incompat/volatile"));
        }
    }
    const OverlayBase base =
        spec.maps_ids ? OverlayBase{mapped_.get(), no_path} : OverlayBase{base_.get(), path_};
    std::optional<FileOwnerGuard> owner;
    if (spec.maps_ids) {
        // What overlayfs makes for itself, now and whenever it copies a file up, it makes as who
        // mounted it; the host's root is nobody below an ID-mapped mount.
        owner.emplace(mapped_uid_, mapped_gid_);
    }
    Result<Fd> mounted = overlay_mount(base, method_, overlay);
    if (!mounted) {
        return std::move(mounted).error().context("mount the root file system");
    }
    return mounted;
}

}  // namespace davit
