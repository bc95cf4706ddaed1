#pragma once
/// The overlay driver: a layer is a directory, a root file system an overlayfs mount of several.
///
/// Follows: kernel filesystems/overlayfs.rst. Below <data-root>/overlay:
///   layers/CACHE-ID    a published layer: its diff directory, whiteouts as overlayfs wants them
///   staging/CACHE-ID   a layer that is being written
///   rw/NAME/diff,work  what a container changes
///   trash/N            on its way out
///   empty              a lower layer with nothing in it: overlayfs wants at least one (two without
///                      an upper one)
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "drivers/graph/driver.h"
#include "drivers/graph/overlay/overlay_mount.h"

namespace davit {

class OverlayDriver final : public GraphDriver {
  public:
    /// Makes the directories and tries out a real mount.
    /// Errors: unsupported, saying which file system the data root is on, if overlayfs cannot use
    /// it
    ///         (overlay on overlay, NFS, no d_type, no trusted xattrs) or the kernel has none;
    ///         permission_denied.
    /// Blocks: a few milliseconds.
    static Result<std::unique_ptr<OverlayDriver>> open(const std::string& data_root);

    std::string_view name() const override { return "overlay2"; }

    Result<StagedLayer> layer_stage(const std::string& cache_id) override;
    Result<void> layer_publish(StagedLayer& staged) override;
    Result<void> layer_remove(const std::string& cache_id) override;
    bool layer_exists(const std::string& cache_id) const override;
    Result<void> rw_create(const std::string& name) override;
    Result<void> rw_remove(const std::string& name) override;
    Result<Fd> rw_open(const std::string& name) const override;
    Result<Fd> mount(const RootfsSpec& spec) override;
    Result<std::size_t> recover(const DriverKnown& known) override;
    Result<void> sync() const override;
    Result<void> sync_names() const override;

    TrashBin& trash() override { return *trash_; }

    /// Use the mount method of kernels without `lowerdir+` (before 6.7): for tests.
    void mount_method_set(OverlayMountMethod method) { method_ = method; }

  private:
    OverlayDriver(Fd base, std::string path, std::unique_ptr<TrashBin> trash)
        : base_(std::move(base)), path_(std::move(path)), trash_(std::move(trash)) {}

    Result<void> probe();

    /// Everything in directory whose name is not known goes.
    Result<std::size_t> trash_unknown(const std::string& directory,
                                      const std::function<bool(std::string_view)>& known);

    Fd base_;
    std::string path_;
    std::unique_ptr<TrashBin> trash_;
    OverlayMountMethod method_ = OverlayMountMethod::append;
};

}  // namespace davit
