#pragma once
/// Daemon: what all jobs share. Its members are opened in order and given up in reverse.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/exec/driver.h"
#include "drivers/graph/driver.h"
#include "graph/data_root_lock.h"
#include "graph/graph_db.h"
#include "graph/graph_writer.h"
#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container/host_limits.h"
#include "jobs/container/table.h"
#include "jobs/container_keys.h"
#include "jobs/container_seccomp.h"
#include "jobs/daemon_config.h"
#include "jobs/engine.h"
#include "jobs/event_bus.h"
#include "jobs/exec_table.h"
#include "jobs/foreground.h"
#include "jobs/keeper_link.h"
#include "jobs/stats_sampler.h"
#include "jobs/system_info.h"
#include "jobs/user_remap.h"
#include "jobs/volume/volume_service.h"
#include "libcontainer/cgroup.h"
#include "reactor/async_event.h"

namespace davit {

class ImageService;
class Networks;
class Admission;
class SandboxPool;

class Daemon {
  public:
    /// Take the data root, open the databases and drivers, and bring back what an earlier life
    /// left: half-done work is rolled back. Containers that outlived it are found, and followed
    /// from containers_resume() on. Errors: conflict (another daemon owns the data root);
    /// unsupported; corrupt.
    static Task<std::unique_ptr<Daemon>> open(DaemonConfig config);

    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    /// Go on with the containers that run already. Before the first request.
    void containers_resume();

    /// Background work: emptying the trash, sampling what containers use, writing down when images
    /// were used, forgetting execs, removing what should have removed itself, collecting images if
    /// the configuration says so. Runs until cancelled.
    Task<void> run_background();

    /// End every container (stop, then kill), join what still runs, and close.
    Task<void> shutdown();

    /// Write down what is not yet. Containers that run go on.
    Task<void> close();

    /// Store a new container's record, and those of the volumes made with it, all or none; its
    /// images and layers cannot go from then on.
    /// Errors: conflict (the name); not_found (an image has gone meanwhile).
    Task<void> container_insert(const Container& container,
                                const std::vector<std::shared_ptr<Volume>>& made);

    /// Store a container's record where it belongs: durably, or with --rm for this boot only.
    Task<void> container_save(const Container& container);

    /// Store it as it will be, which nobody may see before it is stored.
    Task<void> container_save(const Container& container, ContainerRecord record);

    /// Store a container's record under the name that it has now. Errors: conflict (it is taken).
    Task<void> container_rename(const Container& container);

    /// Whether a container that does not run is to be started with the daemon.
    bool start_is_due(const Container& container) const;

    /// Remove a container's record, and its layers if only it needed them. Missing is fine.
    Task<void> container_erase(const Container& container);

    /// Where a container's files of this boot are.
    std::string files_directory(const ContainerId& id) const;

    /// Where a container's log is.
    std::string log_directory(const ContainerId& id) const;

    std::uint64_t image_count() const;

    /// A container is made from the image, or started: remembered here, and written down now and
    /// then, since a start must not wait for the disk. A crash forgets the last few minutes.
    void image_used(const Digest& image) { image_uses_[image] = wall_now(); }

    /// Write down what image_used() remembers. Images that are gone are forgotten.
    Task<void> image_uses_flush();

    /// For GET /info.
    std::vector<std::string> warnings() const;

    const DaemonConfig config;
    const SystemInfo system = system_info_read();
    /// Where the graph and the containers' logs are: of this storage driver, below the data root.
    std::string state_root;
    /// Random, kept in the data root: `docker info` ID.
    std::string id;
    Engine engine;
    EventBus events;
    KeeperLink keeper;
    /// Outlives the containers, which have slots in it.
    std::unique_ptr<OutputStore> outputs;
    ContainerTable containers;
    ContainerKeys container_keys;
    ExecTable execs;
    StatsSampler stats;
    CgroupLayout cgroups;
    /// Of containers with --rm that have ended, and may be forgotten before their cgroups are gone.
    CgroupNotes ended_cgroups{config.run_dir + "/ended"};
    HostLimits host_limits;
    /// If containers are in user namespaces: their map.
    std::optional<UserRemap> user_remap;
    SeccompFilters seccomp;
    std::unique_ptr<GraphDb> graph;
    std::unique_ptr<GraphDb> run_db;
    std::unique_ptr<GraphWriter> graph_writer;
    std::unique_ptr<GraphDriver> graph_driver;
    std::unique_ptr<ExecDriver> exec_driver;
    std::unique_ptr<ImageService> images;
    std::unique_ptr<Networks> networks;
    std::unique_ptr<SandboxPool> sandboxes;
    std::unique_ptr<Admission> admission;
    Foreground foreground;
    /// One prune of containers at a time.
    bool containers_prune_runs = false;
    std::unique_ptr<VolumeService> volumes;
    /// The removal of a container with --rm has failed: it is tried again (container_jobs.h).
    AsyncEvent removal_owed;
    /// Supervisors of containers and execs; they outlive the requests that started them.
    TaskGroup supervisors{GroupPolicy::independent};
    /// It is being shut down: containers that end stay down until the next start.
    bool stopping = false;

  private:
    Daemon(DaemonConfig config, DataRootLock data_lock, DataRootLock run_lock);

    Task<void> open_all();
    Task<KeptAll> keeper_open();
    Result<void> user_namespaces_open();
    Task<void> containers_recover(std::vector<Kept> kept);
    Task<void> container_recover(std::shared_ptr<Container> container, std::optional<Kept> kept);
    Task<void> chain_release(Digest chain);

    DataRootLock data_lock_;
    DataRootLock run_lock_;
    std::vector<std::string> driver_warnings_;
    std::map<Digest, WallTime> image_uses_;
    /// Those that run, until containers_resume(): with what the keeper has of them.
    std::vector<std::pair<std::shared_ptr<Container>, std::optional<Kept>>> running_;
};

}  // namespace davit
