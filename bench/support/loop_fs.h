#pragma once
/// A fresh ext4 in a file, mounted through a loop device: every engine unpacks onto the same kind
/// of empty file system, away from the machine's own (whose `discard` after large deletes makes
/// creating files up to ten times slower for a minute).
#include <cstdint>
#include <string>

#include "reactor/base/fd.h"

namespace davit::bench {

class LoopFs {
  public:
    /// Make image_path (sparse), mkfs.ext4, attach, mount on mount_point (made). Blocks.
    /// Errors: not_found (no mkfs.ext4); what loop(4) and mount(2) give.
    static Result<LoopFs> make(const std::string& image_path,
                               const std::string& mount_point,
                               std::uint64_t bytes);

    LoopFs(LoopFs&& other) noexcept : mount_point_(std::exchange(other.mount_point_, "")) {}

    LoopFs& operator=(LoopFs&&) = delete;
    LoopFs(const LoopFs&) = delete;
    LoopFs& operator=(const LoopFs&) = delete;
    /// Unmounts; the loop device goes with the mount (LO_FLAGS_AUTOCLEAR).
    ~LoopFs();

    const std::string& path() const { return mount_point_; }

  private:
    explicit LoopFs(std::string mount_point) : mount_point_(std::move(mount_point)) {}

    std::string mount_point_;
};

}  // namespace davit::bench
