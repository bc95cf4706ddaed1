#include "drivers/graph/vfs/vfs_driver.h"

#include <sys/stat.h>

#include <cerrno>

#include "drivers/graph/file_system.h"

namespace davit {

namespace {

class VfsTrees final : public FlatTrees {
  public:
    Result<void> make(int dir, const std::string& path) const override {
        if (::mkdirat(dir, path.c_str(), 0755) != 0) {
            return Error::from_errno(errno, "mkdirat", path);
        }
        return ok;
    }

    Result<bool> snapshot(int /*dir*/,
                          const std::string& /*from*/,
                          const std::string& /*to*/) const override {
        return false;
    }

    TreeFiles files() const override { return TreeFiles::link; }
};

}  // namespace

Result<std::unique_ptr<VfsDriver>> VfsDriver::open(const std::string& data_root) {
    TRY(Base base, flat_open(data_root + "/vfs", nullptr));
    std::unique_ptr<VfsDriver> driver(new VfsDriver(std::move(base), std::make_unique<VfsTrees>()));
    TRY_VOID(driver->chains_load());
    return driver;
}

DriverStatus VfsDriver::status() const {
    const std::string backing = file_system_name(base_.get());
    return {{"Backing Filesystem", backing == "ext4" ? "extfs" : backing},
            {"Supports reflinks", reflinks_work(base_.get()) ? "true" : "false"}};
}

}  // namespace davit
