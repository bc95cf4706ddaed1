#pragma once
// Every graph driver, each on a file system that it is meant for.
#include <memory>

#include "drivers/graph/btrfs/btrfs_driver.h"
#include "drivers/graph/btrfs/subvolume.h"
#include "drivers/graph/vfs/vfs_driver.h"
#include "reactor/loop.h"
#include "reactor/task_group.h"
#include "tests/support/btrfs_mount.h"
#include "tests/unit/drivers/graph/driver_support.h"

namespace davit::test {

enum class DriverKind { overlay, overlay_on_btrfs, vfs, vfs_on_btrfs, btrfs };

inline constexpr DriverKind driver_kinds[] = {DriverKind::overlay,
                                              DriverKind::overlay_on_btrfs,
                                              DriverKind::vfs,
                                              DriverKind::vfs_on_btrfs,
                                              DriverKind::btrfs};

/// One btrfs for all tests of a binary, each in a directory of its own.
inline const std::string& btrfs_path() {
    static const BtrfsMount mount;
    static const std::string path = mount.path();
    return path;
}

/// A data root with a driver.
class DriverWorld {
  public:
    explicit DriverWorld(DriverKind kind) : kind_(kind) {
        const bool on_btrfs = kind != DriverKind::overlay && kind != DriverKind::vfs;
        root_ = (on_btrfs ? btrfs_path() : std::string("/tmp")) + "/davit-driver-XXXXXX";
        REQUIRE(::mkdtemp(root_.data()) != nullptr);
        reopen();
    }

    DriverWorld(const DriverWorld&) = delete;
    DriverWorld& operator=(const DriverWorld&) = delete;

    ~DriverWorld() {
        if (driver_) {
            // Subvolumes go the driver's way.
            DriverKnown nothing;
            nothing.layer = nothing.rw = [](std::string_view) { return false; };
            static_cast<void>(driver_->recover(nothing));
            static_cast<void>(driver_->trash().empty_now());
            driver_.reset();
        }
        static_cast<void>(remove_tree(AT_FDCWD, root_));
    }

    void reopen() {
        driver_.reset();
        switch (kind_) {
            case DriverKind::overlay:
            case DriverKind::overlay_on_btrfs:
                driver_ = must(OverlayDriver::open(root_));
                break;
            case DriverKind::vfs:
            case DriverKind::vfs_on_btrfs:
                driver_ = must(VfsDriver::open(root_));
                break;
            case DriverKind::btrfs:
                driver_ = must(BtrfsDriver::open(root_));
                break;
        }
    }

    GraphDriver& driver() { return *driver_; }

    bool is_flat() const {
        return kind_ != DriverKind::overlay && kind_ != DriverKind::overlay_on_btrfs;
    }

    /// The driver's own directory.
    std::string base() const {
        const bool is_btrfs = kind_ == DriverKind::btrfs;
        return root_ + (is_btrfs ? "/btrfs" : is_flat() ? "/vfs" : "/overlay");
    }

    template <typename T>
    Result<T> run(Task<T> task) {
        Loop loop;  // A new one each time: a process that was forked has none.
        return loop.run(std::move(task));
    }

    Result<Fd> mount(std::vector<std::string> layers, std::string rw_name = {}) {
        return run(rootfs_mount(*driver_, spec_of(std::move(layers), std::move(rw_name))));
    }

    /// Mount and let go again.
    void touch(std::vector<std::string> layers) {
        CHECK(must(mount(std::move(layers))).get() >= 0);
    }

    RwChanges changes(std::vector<std::string> layers, std::string rw_name) {
        return must(run(driver_->rw_changes(spec_of(std::move(layers), std::move(rw_name)))));
    }

    static RootfsSpec spec_of(std::vector<std::string> layers, std::string rw_name) {
        RootfsSpec spec;
        spec.layers = std::move(layers);
        spec.rw_name = std::move(rw_name);
        return spec;
    }

  private:
    DriverKind kind_;
    std::string root_;
    std::unique_ptr<GraphDriver> driver_;
};

inline std::string path_of(const Fd& directory) {
    return "/proc/self/fd/" + std::to_string(directory.get()) + "/";
}

}  // namespace davit::test
