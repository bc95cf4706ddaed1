#pragma once
/// GraphDriver: how layers lie on disk and how a stack of them becomes a root file system.
///
/// A driver takes a layer as the bytes of its uncompressed archive and keeps it in whatever form it
/// can mount: directories for overlayfs; a driver that keeps image files (EROFS over the archive
/// itself) fits the same calls, because nothing outside a driver sees a layer's form. Layers are
/// named by their cache id, which never leaves this host. They arrive in any order, each before
/// anybody knows what it will lie on: only a RootfsSpec says that, so a driver that cannot stack at
/// mount time makes whole trees in prepare().
///
/// A layer's life: layer_stage(), write and finish its LayerWriter, layer_publish(),
/// layer_remove(). What was staged and not published, and what was published and not recorded in
/// the graph, is deleted by recover() at the next start. Removal renames into the trash, which
/// TrashBin::run() empties in the background, so nothing here takes long on the loop.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drivers/graph/trash.h"
#include "graph/layer_archive.h"
#include "graph/layer_extract.h"
#include "reactor/base/fd.h"
#include "reactor/base/id_map.h"
#include "reactor/base/result.h"
#include "reactor/offload.h"
#include "reactor/task.h"

namespace davit {

/// What a finished layer holds.
struct LayerContents {
    std::uint64_t bytes = 0;    ///< Sum of the files' sizes, as `docker history` counts.
    std::uint64_t entries = 0;  ///< Members of the archive.
    /// Still to be made, by links_below_make().
    std::vector<LinkBelow> links_below;
};

/// Takes the archive of one layer. Runs on a worker thread, one call at a time.
class LayerWriter {
  public:
    LayerWriter() = default;
    LayerWriter(const LayerWriter&) = delete;
    LayerWriter& operator=(const LayerWriter&) = delete;
    virtual ~LayerWriter() = default;

    /// The next bytes of the uncompressed archive, cut anywhere.
    /// Takes:  beside (may be empty): work on the same bytes that goes on at the same time, if the
    ///         writer has a thread for it. It has run when the call returns, also with an error.
    /// Errors: corrupt (not an archive, or a name that leaves the layer); resource_exhausted (disk
    ///         full, or a limit). An error is final.
    virtual Result<void> write(std::span<const std::uint8_t> archive,
                               const std::function<void()>& beside) = 0;

    Result<void> write(std::span<const std::uint8_t> archive) { return write(archive, {}); }

    /// The archive is complete.
    virtual Result<LayerContents> finish() = 0;
};

/// A layer that is being written. Whoever drops it unpublished has it thrown away. Loop thread
/// only; its writer may go to a worker but must have come back, or be destroyed, before.
class StagedLayer {
  public:
    StagedLayer(std::string cache_id,
                std::unique_ptr<LayerWriter> writer_in,
                std::function<void()> discard)
        : writer(std::move(writer_in)), id_(std::move(cache_id)), discard_(std::move(discard)) {}

    StagedLayer(StagedLayer&& other) noexcept
        : writer(std::move(other.writer)),
          id_(std::move(other.id_)),
          discard_(std::exchange(other.discard_, nullptr)) {}

    StagedLayer& operator=(StagedLayer&&) = delete;
    StagedLayer(const StagedLayer&) = delete;
    StagedLayer& operator=(const StagedLayer&) = delete;

    ~StagedLayer() {
        writer.reset();
        if (discard_) {
            discard_();
        }
    }

    const std::string& cache_id() const { return id_; }

    /// For drivers: the layer is published, and no longer discarded.
    void published() { discard_ = nullptr; }

    std::unique_ptr<LayerWriter> writer;

  private:
    std::string id_;
    std::function<void()> discard_;
};

/// A root file system to mount: layers with, maybe, a container's own directory on top.
struct RootfsSpec {
    /// Cache ids, lowest first. Empty for an image without layers.
    std::vector<std::string> layers;
    /// A name given to rw_create(). Empty: the root is read-only.
    std::string rw_name;
    /// Never write the container's directory back for durability's sake: for containers that are
    /// removed when they end.
    bool rw_volatile = false;
    /// For a user namespace: what belongs to N on disk belongs to the user that map_ids() said.
    bool maps_ids = false;
};

/// What a container changed: a directory in the form of an overlayfs upper layer
/// (graph/whiteout.h). Readable as long as this lives. Loop thread only.
class RwChanges {
  public:
    RwChanges(Fd directory, std::function<void()> discard)
        : directory_(std::move(directory)), discard_(std::move(discard)) {}

    RwChanges(RwChanges&& other) noexcept
        : directory_(std::move(other.directory_)),
          discard_(std::exchange(other.discard_, nullptr)) {}

    RwChanges& operator=(RwChanges&&) = delete;
    RwChanges(const RwChanges&) = delete;
    RwChanges& operator=(const RwChanges&) = delete;

    ~RwChanges() {
        if (discard_) {
            discard_();
        }
    }

    const Fd& directory() const { return directory_; }

    /// For drivers: what the destructor would have called.
    std::function<void()> release() && { return std::exchange(discard_, nullptr); }

  private:
    Fd directory_;
    std::function<void()> discard_;
};

/// Lines of `docker info`: "Backing Filesystem" and the like.
using DriverStatus = std::vector<std::pair<std::string, std::string>>;

/// The names that the graph and the containers know; everything else is deleted.
struct DriverKnown {
    std::function<bool(std::string_view cache_id)> layer;
    std::function<bool(std::string_view rw_name)> rw;
};

class GraphDriver {
  public:
    GraphDriver() = default;
    GraphDriver(const GraphDriver&) = delete;
    GraphDriver& operator=(const GraphDriver&) = delete;
    virtual ~GraphDriver() = default;

    /// "overlay2" to clients, who ask for it by that name.
    virtual std::string_view name() const = 0;

    virtual DriverStatus status() const = 0;

    /// Begin a layer under a cache id that is the graph's to choose (its layer_stage()).
    /// Errors: conflict (taken); resource_exhausted (disk full). On any thread, as layer_publish().
    virtual Result<StagedLayer> layer_stage(const std::string& cache_id) = 0;

    /// Make a finished layer mountable, by one rename.
    virtual Result<void> layer_publish(StagedLayer& staged) = 0;

    /// Take a layer away: at once for everybody, from disk later. not_found if there is none.
    virtual Result<void> layer_remove(const std::string& cache_id) = 0;

    virtual bool layer_exists(const std::string& cache_id) const = 0;

    /// What is on disk, published or created, whoever knows of it. In no order.
    /// Blocks: one directory read.
    virtual Result<std::vector<std::string>> layer_names() const = 0;
    virtual Result<std::vector<std::string>> rw_names() const = 0;

    /// A published layer, to be packed again (LayerArchive).
    /// Errors: not_found; unsupported (a driver that does not keep what it takes).
    virtual Result<LayerFiles> layer_open(const std::string& cache_id) const {
        return Error(ErrorKind::unsupported,
                     "graph driver " + std::string(name()) + " cannot pack layer " + cache_id);
    }

    /// Make a container's own directory. name: a single path component. Errors: conflict.
    /// Blocks: a few system calls; a driver of whole trees fills it in prepare().
    virtual Result<void> rw_create(const std::string& name) = 0;

    /// Bound what a container may write, by the file system's quotas. For a directory in which
    /// nothing was written yet, after prepare().
    /// Errors: internal, in Docker's words, where the file system has no quotas for that.
    virtual Task<void> rw_limit([[maybe_unused]] std::string name,
                                [[maybe_unused]] std::uint64_t bytes_max) {
        co_return Error(ErrorKind::internal,
                        "--storage-opt is not supported for " + std::string(this->name()));
    }

    /// As layer_remove(). A root file system mounted from it keeps working until it is unmounted.
    virtual Result<void> rw_remove(const std::string& name) = 0;

    /// The directory that holds what a container changed, where a driver keeps that apart.
    /// Errors: unsupported where it does not: rw_changes() serves with every driver.
    virtual Result<Fd> rw_open(const std::string& name) const = 0;

    /// What a container changed (for diff, commit and sizes), found out now if it has to be: by
    /// default the directory of rw_open().
    /// Errors: not_found (the container's directory, or a layer).
    virtual Task<RwChanges> rw_changes(RootfsSpec spec) {
        CO_TRY(Fd directory, rw_open(spec.rw_name));
        RwChanges changes(std::move(directory), nullptr);
        co_return std::move(changes);
    }

    /// Whatever mount() needs and is not there yet: call it before. Nothing to do by default; a
    /// driver of whole trees makes them here, once per stack and once per container.
    /// Errors: not_found (a layer or the container's directory); resource_exhausted (disk full).
    /// Cancel: between slices of some milliseconds; nothing half made is left.
    virtual Task<void> prepare([[maybe_unused]] RootfsSpec spec) { co_return ok; }

    /// Gives: a detached mount, unmounted when its last descriptor closes.
    /// One mount of a container's directory at a time, and no other while somebody writes below the
    /// first (overlayfs makes its work directory anew): who calls has the container's turn.
    /// Blocks: 0.3 to 0.5 ms; touches nothing but descriptors: through offload(), as
    /// rootfs_mount(). Errors: not_found (a layer or the container's directory, or not prepared);
    /// what the kernel
    ///         says.
    virtual Result<Fd> mount(const RootfsSpec& spec) const = 0;

    /// Which ids files have in a root file system with RootfsSpec::maps_ids; once, before the
    /// first. What is on disk stays as it is, owned as in the image. Takes:  a user namespace with
    /// this map. Errors: unsupported (the kernel or the file system has no ID-mapped mounts).
    /// Blocks: some milliseconds.
    virtual Result<void> map_ids(Fd user_namespace, const IdMap& ids) = 0;

    /// At start: move everything that nobody knows into the trash. Gives the number of entries.
    virtual Result<std::size_t> recover(const DriverKnown& known) = 0;

    /// Write the contents of every layer to disk: before layer_publish(), and so before a durable
    /// record says that it is there.
    /// Blocks: as long as the disk takes; through offload(). Touches nothing but a descriptor.
    virtual Result<void> sync() const = 0;

    /// Write what layer_publish() renamed to disk: after it, and before the record as well.
    /// Blocks: as sync().
    virtual Result<void> sync_names() const = 0;

    virtual TrashBin& trash() = 0;
};

/// prepare(), then mount(), on a worker. The driver must outlive it.
inline Task<Fd> rootfs_mount(GraphDriver& driver, RootfsSpec spec) {
    CO_CHECK(co_await driver.prepare(spec));
    auto mount = [&driver, spec = std::move(spec)] { return driver.mount(spec); };
    co_return co_await offload(std::move(mount));
}

}  // namespace davit
