#pragma once
/// The btrfs driver: whole trees as subvolumes. Below <data-root>/btrfs, as flat/flat_driver.h has
/// it; every `tree` is a subvolume.
///
/// A chain is a snapshot of the longest chain below it with the diffs above applied, their files
/// sharing extents with the layers' directories. A container's tree is a snapshot of its chain, so
/// it costs one commit of the file system however large the image is, and removing it another.
#include "drivers/graph/flat/flat_driver.h"

namespace davit {

class BtrfsDriver final : public FlatDriver {
  public:
    /// Errors: unsupported, if the data root is on another file system, naming it.
    static Result<std::unique_ptr<BtrfsDriver>> open(const std::string& data_root);

    std::string_view name() const override { return "btrfs"; }

    DriverStatus status() const override;
    Task<void> rw_limit(std::string name, std::uint64_t bytes_max) override;

  private:
    using FlatDriver::FlatDriver;
};

}  // namespace davit
