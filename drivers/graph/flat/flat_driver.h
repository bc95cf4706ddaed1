#pragma once
/// FlatDriver: root file systems as whole trees, for file systems that overlayfs cannot use.
///
/// A layer arrives before anybody knows what lies below it, several at a time and in any order, and
/// a layer is shared between images at different heights. So its diff is kept as the overlay driver
/// keeps it, a directory with whiteouts as marks, and only a stack that is really mounted becomes a
/// whole tree (a chain), by prepare(): made of the longest chain that is there and the diffs above
/// it. Pulling costs what it costs with overlayfs, images that are never run cost no tree, and
/// nothing depends on the order of arrival. A container's own tree is a copy of its chain, made at
/// its first start.
///
/// A chain is removed with the first of its layers that goes, so at the latest with the last image
/// that has that layer. Below the driver's directory, besides what directory_driver.h has:
///   chains/KEY/layers,tree   cache ids, lowest first, one a line; KEY is their SHA-256
///   rw/NAME/tree             a container's root file system
///   empty                    what a container without layers had before it changed anything
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/graph/directory_driver.h"
#include "drivers/graph/flat/flat_trees.h"
#include "drivers/graph/flat/tree_apply.h"
#include "reactor/async_event.h"

namespace davit {

class FlatDriver : public DirectoryDriver {
  public:
    Result<void> layer_remove(const std::string& cache_id) override;
    Result<void> rw_create(const std::string& name) override;
    Result<Fd> rw_open(const std::string& name) const override;
    Task<RwChanges> rw_changes(RootfsSpec spec) override;
    Task<void> prepare(RootfsSpec spec) override;
    Result<Fd> mount(const RootfsSpec& spec) const override;
    Result<void> map_ids(Fd user_namespace, const IdMap& ids) override;
    Result<std::size_t> recover(const DriverKnown& known) override;

    /// The chains that are there: for tests and `docker info`.
    std::size_t chain_count() const { return chains_.size(); }

  protected:
    static Result<Base> flat_open(const std::string& path, TrashBin::Dissolve dissolve);

    FlatDriver(Base base, std::unique_ptr<const FlatTrees> trees)
        : DirectoryDriver(std::move(base)), trees_(std::move(trees)) {}

    /// Read which chains there are. To be called once, before anything else.
    Result<void> chains_load();

  private:
    using Layers = std::vector<std::string>;

    Task<void> chain_prepare(Layers layers);
    Task<void> chain_build(Layers layers, std::string staged);
    Task<void> rw_prepare(std::string name, Layers layers);
    Task<void> rw_build(Layers layers, std::string staged);
    Task<void> changes_find(RootfsSpec spec, std::string staged);
    Task<void> apply(std::string from, std::string to, TreeApplyOptions options);

    /// The tree that a root of these layers begins with.
    static std::string chain_tree(const Layers& layers);

    /// Chains that no longer have all their layers go.
    Result<std::size_t> chains_trash(const std::function<bool(const std::string&)>& layer_gone);

    /// Into the trash; a failure leaves it in staging, where the next start finds it.
    void discard(const std::string& staged);

    /// Whoever makes something of this name waits for others that do.
    std::shared_ptr<AsyncMutex> making(const std::string& name);

    std::unique_ptr<const FlatTrees> trees_;
    std::map<std::string, Layers> chains_;
    Fd user_namespace_;
    std::map<std::string, std::weak_ptr<AsyncMutex>> making_;
};

}  // namespace davit
