#pragma once
/// The overlay driver: a layer is a directory, a root file system an overlayfs mount of several.
///
/// Follows: kernel filesystems/overlayfs.rst. Below <data-root>/overlay:
///   layers, staging, trash   as directory_driver.h has them
///   rw/NAME/diff,work  what a container changes
///   mapped             where the directory is mounted once more, for user namespaces, before Linux
///                      6.15: overlayfs takes layers only from mounts that are attached there
///   empty              a lower layer with nothing in it: overlayfs wants at least one (two without
///                      an upper one)
#include <memory>
#include <string>
#include <string_view>

#include "drivers/graph/directory_driver.h"
#include "drivers/graph/overlay/overlay_mount.h"

namespace davit {

class OverlayDriver final : public DirectoryDriver {
  public:
    /// Makes the directories and tries out a real mount.
    /// Errors: unsupported, saying which file system the data root is on, if overlayfs cannot use
    /// it
    ///         (overlay on overlay, NFS, no d_type, no trusted xattrs) or the kernel has none;
    ///         permission_denied.
    /// Blocks: a few milliseconds.
    static Result<std::unique_ptr<OverlayDriver>> open(const std::string& data_root);

    std::string_view name() const override { return "overlay2"; }

    DriverStatus status() const override;
    Result<void> rw_create(const std::string& name) override;
    Task<void> rw_limit(std::string name, std::uint64_t bytes_max) override;
    Result<Fd> rw_open(const std::string& name) const override;
    Result<Fd> mount(const RootfsSpec& spec) const override;
    Result<void> map_ids(Fd user_namespace, const IdMap& ids) override;
    ~OverlayDriver() override;
    OverlayDriver(const OverlayDriver&) = delete;
    OverlayDriver& operator=(const OverlayDriver&) = delete;

    /// Use the mount method of kernels without `lowerdir+` (before 6.7): for tests.
    void mount_method_set(OverlayMountMethod method) { method_ = method; }

  private:
    explicit OverlayDriver(Base base) : DirectoryDriver(std::move(base)) {}

    Result<void> probe();
    Result<void> mapped_probe() const;

    /// The driver's directory once more, as an ID-mapped mount: layers and writable directories are
    /// taken from there. A root file system itself is never ID-mapped.
    Fd mapped_;
    /// Where that had to be attached.
    std::string mapped_path_;
    std::uint32_t mapped_uid_ = 0;
    std::uint32_t mapped_gid_ = 0;
    OverlayMountMethod method_ = OverlayMountMethod::append;
};

}  // namespace davit
