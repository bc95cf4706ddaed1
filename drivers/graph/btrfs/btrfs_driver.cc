#include "drivers/graph/btrfs/btrfs_driver.h"

#include <fcntl.h>

#include "drivers/graph/btrfs/subvolume.h"
#include "drivers/graph/file_system.h"
#include "reactor/offload.h"

namespace davit {

namespace {

class BtrfsTrees final : public FlatTrees {
  public:
    Result<void> make(int dir, const std::string& path) const override {
        return subvolume_create(dir, path);
    }

    Result<bool> snapshot(int dir, const std::string& from, const std::string& to) const override {
        TRY_VOID(subvolume_snapshot(dir, from, to));
        return true;
    }

    TreeFiles files() const override { return TreeFiles::copy; }
};

/// An entry of the trash is a tree or has one.
Result<void> dissolve(int dir, const std::string& name) {
    for (const std::string& path : {name, name + "/tree"}) {
        if (is_subvolume(dir, path)) {
            return subvolume_delete(dir, path);
        }
    }
    return ok;
}

}  // namespace

Result<std::unique_ptr<BtrfsDriver>> BtrfsDriver::open(const std::string& data_root) {
    TRY_VOID(make_directories(data_root, 0711));
    TRY(const Fd root, Fd::open(data_root, O_RDONLY | O_DIRECTORY));
    const std::string backing = file_system_name(root.get());
    if (backing != "btrfs") {
        return Error(ErrorKind::unsupported,
                     "storage driver btrfs needs a data root on btrfs; " + data_root + " is on " +
                         backing + ": use overlay2, or another data root");
    }
    TRY(Base base, flat_open(data_root + "/btrfs", dissolve));
    std::unique_ptr<BtrfsDriver> driver(
        new BtrfsDriver(std::move(base), std::make_unique<BtrfsTrees>()));
    TRY_VOID(driver->chains_load());
    return driver;
}

Task<void> BtrfsDriver::rw_limit(std::string name, std::uint64_t bytes_max) {
    auto limit = [dir = base_.get(), path = rw_path(name) + "/tree", bytes_max] {
        return subvolume_limit(dir, path, bytes_max);
    };
    co_return co_await offload(std::move(limit));
}

DriverStatus BtrfsDriver::status() const {
    return {{"Backing Filesystem", "btrfs"}, {"Chains", std::to_string(chain_count())}};
}

}  // namespace davit
