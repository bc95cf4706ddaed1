#pragma once
/// The vfs driver: whole trees on any file system, for those that can do nothing better (a data
/// root on overlayfs, as in a container). Below <data-root>/vfs, as flat/flat_driver.h has it.
///
/// A chain shares its files with the layers' diffs by hard links, since nobody writes to either; a
/// container's tree shares only contents, where the file system can (FICLONE), and is a full copy
/// elsewhere. Whoever looks at a read-only root sees link counts that tell of this.
#include "drivers/graph/flat/flat_driver.h"

namespace davit {

class VfsDriver final : public FlatDriver {
  public:
    static Result<std::unique_ptr<VfsDriver>> open(const std::string& data_root);

    std::string_view name() const override { return "vfs"; }

    DriverStatus status() const override;

  private:
    using FlatDriver::FlatDriver;
};

}  // namespace davit
