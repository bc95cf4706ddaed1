#include "jobs/daemon.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "drivers/graph/select.h"
#include "graph/container_store.h"
#include "graph/edges.h"
#include "graph/image_store.h"
#include "jobs/admission.h"
#include "jobs/container_jobs.h"
#include "jobs/container_volumes.h"
#include "jobs/image/image_service.h"
#include "jobs/image/remove.h"
#include "jobs/image_gc_auto.h"
#include "jobs/network/networks.h"
#include "jobs/sandbox_pool.h"
#include "libcontainer/user_namespace.h"
#include "reactor/base/log.h"
#include "reactor/timer.h"

namespace davit {

namespace {

/// How much of the images' use a crash may forget.
constexpr std::chrono::minutes image_uses_interval{5};
constexpr std::chrono::minutes execs_expire_interval{1};

ContainerHome home_of(const Container& container) {
    return container.record.host_config.auto_remove ? ContainerHome::run : ContainerHome::graph;
}

ContainerEntry entry_of(const Container& container) {
    ContainerEntry entry;
    entry.id = container.id();
    entry.name = container.record.name;
    entry.image = container.record.image_id;
    entry.chain_id = container.record.chain_id;
    entry.mounted_chains = container_mounted_chains(container.record);
    entry.record = container_record_write(container.record);
    return entry;
}

/// "docker info" shows it; some tools tell hosts apart by it.
Result<std::string> daemon_id(const std::string& data_root) {
    const std::string path = data_root + "/engine-id";
    if (auto kept = file_read(path)) {
        return *std::move(kept);
    }
    const std::string hex = random_hex(16);
    const std::string id = hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) +
                           "-" + hex.substr(16, 4) + "-" + hex.substr(20);
    TRY_VOID(file_replace(AT_FDCWD, path, id));
    return id;
}

/// Containers get their root by pivot_root(2), which wants ours to be a mount point: in a plain
/// chroot every start would fail in its middle.
Result<void> root_check() {
    struct statx root {};

    if (::statx(AT_FDCWD, "/", 0, STATX_TYPE, &root) < 0) {
        return Error::from_errno(errno, "stat /");
    }
    if ((root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
        (root.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
        return Error(ErrorKind::unsupported,
                     "the root directory is not a mount point, as in a plain chroot, so containers "
                     "cannot be started: bind-mount it onto itself (mount --bind DIR DIR) before "
                     "entering it");
    }
    return ok;
}

RegistryOptions registry_options(const DaemonConfig& config) {
    RegistryOptions options;
    options.config.insecure_hosts = config.insecure_registries;
    options.config.mirrors = config.registry_mirrors_other;
    options.http.certs_directory = config.certs_dir;
    options.http.stall_timeout = config.registry_stall_timeout;
    if (!config.registry_mirrors.empty()) {
        options.config.mirrors["docker.io"] = config.registry_mirrors;
    }
    if (config.downloads_max != 0) {
        options.downloads_parallel_max = config.downloads_max;
    }
    if (config.uploads_max != 0) {
        options.uploads_parallel_max = config.uploads_max;
    }
    return options;
}

}  // namespace

Daemon::Daemon(DaemonConfig given, DataRootLock data_lock, DataRootLock run_lock)
    : config(std::move(given)), data_lock_(std::move(data_lock)), run_lock_(std::move(run_lock)) {}

Daemon::~Daemon() = default;

Task<std::unique_ptr<Daemon>> Daemon::open(DaemonConfig config) {
    CO_CHECK(root_check());
    CO_CHECK(make_directories(config.data_root, 0711));
    CO_CHECK(make_directories(config.run_dir, 0711));
    CO_TRY(DataRootLock data_lock, DataRootLock::acquire(config.data_root));
    // Its containers are in there: whoever else recovered them would end them.
    CO_TRY(DataRootLock run_lock, DataRootLock::acquire(config.run_dir, "run directory"));
    std::unique_ptr<Daemon> daemon(
        new Daemon(std::move(config), std::move(data_lock), std::move(run_lock)));
    CO_CHECK(co_await daemon->open_all());
    co_return std::move(daemon);
}

Task<void> Daemon::open_all() {
    CO_TRY(id, daemon_id(config.data_root));
    CO_TRY(cgroups, CgroupLayout::detect());
    cgroups.realtime_period_us = config.cpu_realtime_period_us;
    cgroups.realtime_runtime_us = config.cpu_realtime_runtime_us;
    host_limits = HostLimits::read(cgroups);
    CO_TRY(seccomp, SeccompFilters::open(config.seccomp_profile, system.kernel_version));
    CO_TRY(GraphDriverChoice choice, graph_driver_open(config.storage_driver, config.data_root));
    graph_driver = std::move(choice.driver);
    driver_warnings_ = std::move(choice.warnings);
    for (const std::string& warning : driver_warnings_) {
        LOG_WARN("{}", warning);
    }
    state_root = graph_driver_state_root(*graph_driver, config.data_root);
    GraphDbOptions durable;
    durable.directory = state_root + "/graph";
    CO_TRY(graph, GraphDb::open(std::move(durable)));
    GraphDbOptions fleeting;
    fleeting.directory = config.run_dir + "/db";
    fleeting.durability = Durability::volatile_;
    CO_TRY(run_db, GraphDb::open(std::move(fleeting)));
    if (const Result<void> kept = events.keep_in(config.run_dir); !kept) {
        LOG_WARN("events: {}; they will not outlive this daemon", kept.error().message());
    }
    graph_writer = std::make_unique<GraphWriter>(*graph);
    CO_TRY(exec_driver, native_exec_driver_make());
    images = std::make_unique<ImageService>(
        *graph, *graph_writer, *graph_driver, registry_options(config));
    networks = std::make_unique<Networks>(*this);
    sandboxes = std::make_unique<SandboxPool>(*this, config.warm_sandboxes);
    admission = std::make_unique<Admission>(std::max<std::size_t>(system.cpu_count, 1));
    CO_CHECK(co_await networks->open());
    const std::array<const std::string*, 2> roots = {&state_root, &config.run_dir};
    for (const std::string* root : roots) {
        CO_CHECK(make_directories(*root + "/containers", 0711));
    }
    volumes = std::make_unique<VolumeService>(*graph, *graph_writer, *run_db, events);
    CO_CHECK(co_await volumes->load(state_root + "/volumes"));
    CO_CHECK(user_namespaces_open());
    CO_TRY(KeptAll kept, co_await keeper_open());
    CO_CHECK(co_await sandboxes->recover());
    CO_CHECK(co_await ended_cgroups.recover(cgroups));
    CO_CHECK(co_await containers_recover(std::move(kept.containers)));
    CO_CHECK(co_await volumes->settle());
    // What an earlier daemon of this boot had pulled and not written to disk yet.
    images->layers().sync().soon();
    co_return ok;
}

Result<void> Daemon::user_namespaces_open() {
    TRY(user_remap, user_remap_open(config.userns_remap));
    if (!user_remap) {
        return ok;
    }
    TRY(UserNamespace mapping, user_namespace_make(user_remap->ids, false));
    TRY_VOID(graph_driver->map_ids(std::move(mapping.user), user_remap->ids));
    // On disk a container's root is the host's: no user of the host may get at a setuid program
    // that one has put into a volume.
    const std::string directory = state_root + "/volumes";
    if (::chmod(directory.c_str(), 0700) != 0) {
        return Error::from_errno(errno, "chmod", directory);
    }
    LOG_INFO("containers are in user namespaces with the ids of {}", user_remap->user);
    return ok;
}

/// Take over what the keeper holds, and give it what it is to hold from now on.
Task<KeptAll> Daemon::keeper_open() {
    KeptAll kept;
    if (config.keeper_socket >= 0) {
        CO_TRY(kept, co_await keeper.open(Fd(config.keeper_socket)));
    }
    if (kept.outputs) {
        Result<std::unique_ptr<OutputStore>> adopted = OutputStore::adopt(*std::move(kept.outputs));
        if (adopted) {
            outputs = *std::move(adopted);
            co_return std::move(kept);
        }
        LOG_ERROR("{}: the last lines that running containers wrote before now may be lost",
                  adopted.error().message());
    }
    CO_TRY(outputs, OutputStore::make());
    CO_CHECK(keeper.share(outputs->files()));
    co_return std::move(kept);
}

Task<void> Daemon::run_background() {
    auto uses = [](Daemon& daemon) -> Task<void> {
        for (;;) {
            CO_CHECK(co_await sleep_for(image_uses_interval));
            const Result<void> flushed = co_await daemon.image_uses_flush();
            if (!flushed && flushed.error().kind() != ErrorKind::cancelled) {
                LOG_WARN("images: write down their use: {}, ignoring", flushed.error().message());
            }
        }
    };
    auto execs_expire = [](Daemon& daemon) -> Task<void> {
        for (;;) {
            CO_CHECK(co_await sleep_for(execs_expire_interval));
            daemon.execs.expire(monotonic_now());
        }
    };
    auto network = [](Daemon& daemon) -> Task<void> {
        const Result<void> ended = co_await daemon.networks->run();
        if (!ended && ended.error().kind() != ErrorKind::cancelled) {
            LOG_ERROR("network: {}", ended.error().message());
        }
        co_return ok;
    };
    TaskGroup work;
    work.spawn(network(*this));
    work.spawn(graph_driver->trash().run());
    work.spawn(volumes->directory().trash().run());
    work.spawn(uses(*this));
    if (config.gc) {
        work.spawn(image_gc_auto(*this, *config.gc));
    }
    work.spawn(execs_expire(*this));
    work.spawn(sandboxes->run());
    work.spawn(admission->run());
    work.spawn(stats.run());
    work.spawn(container_removals_retry(*this));
    co_return co_await work.join();
}

Task<void> Daemon::image_uses_flush() {
    if (image_uses_.empty()) {
        co_return ok;
    }
    const std::map<Digest, WallTime> uses = std::exchange(image_uses_, {});
    auto write = [&uses](WriteTxn& txn) -> Result<void> {
        for (const auto& [image, when] : uses) {
            const Result<void> touched = image_touch(txn, image, when);
            if (!touched && touched.error().kind() != ErrorKind::not_found) {
                return touched;
            }
        }
        return ok;
    };
    Result<void> written = co_await graph_writer->update(write);
    if (!written) {
        image_uses_.insert(uses.begin(), uses.end());  // Later uses count.
    }
    co_return written;
}

Task<void> Daemon::shutdown() {
    stopping = true;
    TaskGroup stops(GroupPolicy::independent);
    auto stop = [](Daemon& daemon, std::shared_ptr<Container> container) -> Task<void> {
        std::vector<std::string> shown{container->id().short_id()};
        const ContainerStopRequest request;
        co_return co_await daemon.engine.run(
            "container_stop", std::move(shown), container_stop, daemon, container, request);
    };
    for (const auto& container : containers.list()) {
        if (container->is_up()) {
            stops.spawn(stop(*this, container));
        }
    }
    static_cast<void>(co_await stops.join());
    static_cast<void>(co_await supervisors.join());
    // They may have places in networks.
    static_cast<void>(co_await sandboxes->close());
    if (const Result<void> closed = co_await networks->close(); !closed) {
        LOG_WARN("network: {}, ignoring: the next start cleans up", closed.error().message());
    }
    co_return co_await close();
}

Task<void> Daemon::close() {
    static_cast<void>(co_await sandboxes->close());
    static_cast<void>(co_await image_uses_flush());
    static_cast<void>(co_await images->close());
    co_return ok;
}

Task<void> Daemon::container_insert(const Container& container,
                                    const std::vector<std::shared_ptr<Volume>>& made) {
    const ContainerHome home = home_of(container);
    const ContainerEntry entry = entry_of(container);
    auto insert = [&](WriteTxn& txn) -> Result<void> {
        for (const auto& volume : made) {
            TRY_VOID(VolumeService::record_insert(txn, *volume));
        }
        return container_create(txn, home, entry);
    };
    if (home == ContainerHome::graph) {
        co_return co_await graph_writer->update(insert);
    }
    CO_CHECK(run_db->update(insert));
    Result<void> held = co_await image_hold_check(*images, entry.image);
    for (const MountPoint& mount : container.record.mounts) {
        if (held && mount.type == "image") {
            CO_TRY(Digest image, Digest::parse(mount.source));
            held = co_await image_hold_check(*images, std::move(image));
        }
    }
    if (!held) {
        static_cast<void>(co_await container_erase(container));
    }
    co_return held;
}

Task<void> Daemon::container_save(const Container& container) {
    return container_save(container, container.record);
}

Task<void> Daemon::container_save(const Container& container, ContainerRecord record) {
    if (container.ending) {
        record.state = *container.ending;
    }
    const std::string stored = container_record_write(record);
    auto save = [&](WriteTxn& txn) { return container_update(txn, container.id(), stored); };
    if (home_of(container) == ContainerHome::run) {
        co_return run_db->update(save);
    }
    co_return co_await graph_writer->update(save);
}

Task<void> Daemon::container_rename(const Container& container) {
    const std::string name = container.record.name;
    ContainerRecord renamed = container.record;
    if (container.ending) {
        renamed.state = *container.ending;
    }
    const std::string record = container_record_write(renamed);
    auto rename = [&](WriteTxn& txn) -> Result<void> {
        TRY_VOID(davit::container_rename(txn, container.id(), name));
        return container_update(txn, container.id(), record);
    };
    if (home_of(container) == ContainerHome::run) {
        co_return run_db->update(rename);
    }
    co_return co_await graph_writer->update(rename);
}

Task<void> Daemon::container_erase(const Container& container) {
    const ContainerHome home = home_of(container);
    auto erase = [&](WriteTxn& txn) -> Result<void> {
        TRY([[maybe_unused]] const std::vector<Digest> held,
            davit::container_erase(txn, home, container.id()));
        return ok;
    };
    Result<void> erased = ok;
    if (home == ContainerHome::run) {
        erased = run_db->update(erase);
    } else {
        erased = co_await graph_writer->update(erase);
    }
    if (!erased && erased.error().kind() != ErrorKind::not_found) {
        co_return erased;
    }
    std::vector<Digest> chains = container_mounted_chains(container.record);
    chains.push_back(container.record.chain_id);
    for (Digest& chain : chains) {
        const Result<void> released = co_await chain_release(std::move(chain));
        if (!released) {
            // The next start collects them.
            LOG_WARN("container={}: its layers: {}, ignoring",
                     container.id().short_id(),
                     released.error().message());
        }
    }
    co_return ok;
}

Task<void> Daemon::chain_release(Digest chain) {
    // As a rule the image still needs it, and this is a look-up.
    const Entity entity{EntityKind::chain, chain.str()};
    auto is_needed = [&](const ReadTxn& txn) -> Result<bool> {
        TRY(const bool exists, entity_exists(txn, entity));
        TRY(const std::uint64_t holders, refcount(txn, entity));
        return !exists || holders > 0;
    };
    CO_TRY(const bool needed, graph->view(is_needed));
    if (chain.empty() || needed) {
        co_return ok;
    }
    const ContainerStore store(*graph, *run_db);
    CO_TRY(const std::vector<Digest> pinned, store.pinned_chains());
    auto collect = [&](WriteTxn& txn) {
        return chain_collect(txn, chain, [&pinned](const Digest& other) {
            return std::find(pinned.begin(), pinned.end(), other) != pinned.end();
        });
    };
    CO_TRY(std::vector<std::string> directories, co_await graph_writer->update(collect));
    co_return co_await images->layers().directories_delete(std::move(directories));
}

std::string Daemon::files_directory(const ContainerId& container) const {
    return config.run_dir + "/containers/" + container.str();
}

std::string Daemon::log_directory(const ContainerId& container) const {
    return state_root + "/containers/" + container.str();
}

std::uint64_t Daemon::image_count() const {
    const auto count = graph->view([](const ReadTxn& txn) { return davit::image_count(txn); });
    return count ? *count : 0;
}

std::vector<std::string> Daemon::warnings() const {
    return driver_warnings_;
}

}  // namespace davit
