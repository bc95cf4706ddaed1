#pragma once
/// DirectoryDriver: what drivers share that keep the diff of each layer as a directory, with
/// whiteouts in overlayfs' form. Below the driver's own directory:
///   layers/CACHE-ID        a published layer: its diff directory, and its recipe
///                          (graph/layer_recipe.h)
///   staging/...            what is being made
///   rw/NAME/...            a container's own
///   trash/N                on its way out
#include <memory>
#include <span>
#include <string>

#include "drivers/graph/driver.h"

namespace davit {

class DirectoryDriver : public GraphDriver {
  public:
    Result<StagedLayer> layer_stage(const std::string& cache_id) override;
    Result<void> layer_publish(StagedLayer& staged) override;
    Result<void> layer_remove(const std::string& cache_id) override;
    bool layer_exists(const std::string& cache_id) const override;
    Result<LayerFiles> layer_open(const std::string& cache_id) const override;
    Result<std::vector<std::string>> layer_names() const override;
    Result<std::vector<std::string>> rw_names() const override;
    Result<void> rw_remove(const std::string& name) override;
    Result<std::size_t> recover(const DriverKnown& known) override;
    Result<void> sync() const override;
    Result<void> sync_names() const override;

    TrashBin& trash() override { return *trash_; }

  protected:
    struct Base {
        Fd fd;
        std::string path;
        std::unique_ptr<TrashBin> trash;
    };

    /// Make the directories, where they are not there. Takes: more of them, readable by root alone.
    static Result<Base> base_open(const std::string& path,
                                  std::span<const char* const> more,
                                  TrashBin::Dissolve dissolve);

    explicit DirectoryDriver(Base base)
        : base_(std::move(base.fd)), path_(std::move(base.path)), trash_(std::move(base.trash)) {}

    /// Below the driver's directory.
    static std::string layer_path(const std::string& cache_id);
    static std::string staged_path(const std::string& name);
    static std::string rw_path(const std::string& name);

    /// Without those that are thrown away already.
    Result<std::vector<std::string>> names_staying(const std::string& directory) const;

    bool exists(const std::string& path) const;
    Result<void> make_dir(const std::string& path, mode_t mode) const;

    /// Everything in directory whose name is not known goes. Gives: how many that were.
    Result<std::size_t> trash_unknown(const std::string& directory,
                                      const std::function<bool(std::string_view)>& known);

    Fd base_;
    std::string path_;
    std::unique_ptr<TrashBin> trash_;

  private:
    Result<std::unique_ptr<LayerWriter>> staged_writer(const std::string& staged) const;
};

}  // namespace davit
