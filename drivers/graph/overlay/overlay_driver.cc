#include "drivers/graph/overlay/overlay_driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/graph/directory_layer.h"
#include "drivers/graph/directory_names.h"
#include "drivers/graph/overlay/overlay_probe.h"
#include "reactor/base/ids.h"

namespace davit {

namespace {

constexpr const char* layers_dir = "layers";
constexpr const char* staging_dir = "staging";
constexpr const char* rw_dir = "rw";
constexpr const char* trash_dir = "trash";
constexpr const char* empty_dir = "empty";

std::string layer_dir(const std::string& cache_id) {
    return std::string(layers_dir) + "/" + cache_id;
}

std::string layer_path(const std::string& cache_id) {
    return layer_dir(cache_id) + "/diff";
}

std::string staged_path(const std::string& cache_id) {
    return std::string(staging_dir) + "/" + cache_id;
}

std::string rw_path(const std::string& name) {
    return std::string(rw_dir) + "/" + name;
}

Result<void> make_dir(int dir, const std::string& path, mode_t mode) {
    if (::mkdirat(dir, path.c_str(), mode) != 0) {
        return Error::from_errno(errno, "mkdirat", path);
    }
    return ok;
}

Result<void> ensure_dir(int dir, const std::string& path, mode_t mode) {
    if (::mkdirat(dir, path.c_str(), mode) != 0 && errno != EEXIST) {
        return Error::from_errno(errno, "mkdirat", path);
    }
    return ok;
}

bool exists(int dir, const std::string& path) {
    return ::faccessat(dir, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

Result<std::unique_ptr<OverlayDriver>> OverlayDriver::open(const std::string& data_root) {
    const std::string path = data_root + "/overlay";
    TRY_VOID(make_directories(path, 0700));
    TRY(Fd base, Fd::open(path, O_RDONLY | O_DIRECTORY));
    for (const char* name : {layers_dir, staging_dir, rw_dir, trash_dir}) {
        TRY_VOID(ensure_dir(base.get(), name, 0700));
    }
    // Seen as the root of a container without layers.
    TRY_VOID(ensure_dir(base.get(), empty_dir, 0755));
    TRY(Fd trash_fd, Fd::openat(base.get(), trash_dir, O_RDONLY | O_DIRECTORY));
    TRY(std::unique_ptr<TrashBin> trash, TrashBin::open(std::move(trash_fd)));
    std::unique_ptr<OverlayDriver> driver(
        new OverlayDriver(std::move(base), path, std::move(trash)));
    TRY_VOID(driver->probe());
    return driver;
}

Result<void> OverlayDriver::probe() {
    const OverlayBase base{base_.get(), path_};
    TRY(method_, overlay_mount_method_probe(base));
    const std::string scratch = staged_path("probe-" + random_hex(4));
    Result<void> usable = overlay_probe(base, method_, scratch);
    TRY_VOID(remove_tree(base_.get(), scratch));
    return usable;
}

Result<StagedLayer> OverlayDriver::layer_stage(const std::string& cache_id) {
    const std::string staged = staged_path(cache_id);
    if (exists(base_.get(), layer_dir(cache_id))) {
        return Error::from_errno(EEXIST, "mkdirat", cache_id);
    }
    TRY_VOID(make_dir(base_.get(), staged, 0700));
    auto discard = [this, staged] {
        // A failure leaves it in staging, where the next start finds it.
        (void)trash_->take(base_.get(), staged).has_value();
    };
    StagedLayer layer(cache_id, nullptr, std::move(discard));
    TRY_VOID(make_dir(base_.get(), staged + "/diff", 0755));
    TRY(Fd root, Fd::openat(base_.get(), staged + "/diff", O_RDONLY | O_DIRECTORY));
    TRY(layer.writer, directory_layer_writer(std::move(root)));
    return layer;
}

Result<void> OverlayDriver::layer_publish(StagedLayer& staged) {
    const std::string from = staged_path(staged.cache_id());
    const std::string to = layer_dir(staged.cache_id());
    if (::renameat2(base_.get(), from.c_str(), base_.get(), to.c_str(), RENAME_NOREPLACE) != 0) {
        return Error::from_errno(errno, "renameat2", from);
    }
    staged.published();
    return ok;
}

Result<void> OverlayDriver::layer_remove(const std::string& cache_id) {
    return trash_->take(base_.get(), layer_dir(cache_id));
}

bool OverlayDriver::layer_exists(const std::string& cache_id) const {
    return exists(base_.get(), layer_path(cache_id));
}

Result<void> OverlayDriver::rw_create(const std::string& name) {
    const std::string path = rw_path(name);
    TRY_VOID(make_dir(base_.get(), path, 0700));
    for (const char* part : {"/diff", "/work"}) {
        Result<void> made = make_dir(base_.get(), path + part, 0755);
        if (!made) {
            TRY_VOID(trash_->take(base_.get(), path));
            return made;
        }
    }
    return ok;
}

Result<void> OverlayDriver::rw_remove(const std::string& name) {
    return trash_->take(base_.get(), rw_path(name));
}

Result<Fd> OverlayDriver::rw_open(const std::string& name) const {
    return Fd::openat(base_.get(), rw_path(name) + "/diff", O_RDONLY | O_DIRECTORY);
}

Result<Fd> OverlayDriver::mount(const RootfsSpec& spec) {
    OverlaySpec overlay;
    overlay.lower.reserve(spec.layers.size() + 1);
    for (auto layer = spec.layers.rbegin(); layer != spec.layers.rend(); ++layer) {
        overlay.lower.push_back(layer_path(*layer));
    }
    const std::size_t lower_min = spec.rw_name.empty() ? 2 : 1;
    if (overlay.lower.size() < lower_min) {
        overlay.lower.emplace_back(empty_dir);
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
    const OverlayBase base{base_.get(), path_};
    Result<Fd> mounted = overlay_mount(base, method_, overlay);
    if (!mounted) {
        return std::move(mounted).error().context("mount the root file system");
    }
    return mounted;
}

Result<std::size_t> OverlayDriver::recover(const DriverKnown& known) {
    TRY(std::size_t count, trash_unknown(staging_dir, [](std::string_view) { return false; }));
    TRY(const std::size_t containers, trash_unknown(rw_dir, known.rw));
    TRY(const std::size_t layers, trash_unknown(layers_dir, known.layer));
    return count + containers + layers;
}

Result<std::size_t> OverlayDriver::trash_unknown(
    const std::string& directory, const std::function<bool(std::string_view)>& known) {
    std::size_t count = 0;
    TRY(const std::vector<std::string> names, directory_names(base_.get(), directory));
    for (const std::string& name : names) {
        if (!known(name)) {
            TRY_VOID(trash_->take(base_.get(), directory + "/" + name));
            ++count;
        }
    }
    return count;
}

Result<void> OverlayDriver::sync_names() const {
    // The new place first: a name in both is found, a name in neither is lost.
    for (const char* name : {layers_dir, staging_dir}) {
        TRY(const Fd directory, Fd::openat(base_.get(), name, O_RDONLY | O_DIRECTORY));
        if (::fsync(directory.get()) != 0) {
            return Error::from_errno(errno, "fsync", name);
        }
    }
    return ok;
}

Result<void> OverlayDriver::sync() const {
    if (::syncfs(base_.get()) != 0) {
        return Error::from_errno(errno, "syncfs", path_);
    }
    return ok;
}

}  // namespace davit
