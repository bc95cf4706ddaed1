#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "graph/image_config.h"
#include "graph/image_store.h"
#include "jobs/container/host_limits.h"
#include "jobs/container/log_config.h"
#include "jobs/container/merge.h"
#include "jobs/container/name_generator.h"
#include "jobs/container_jobs.h"
#include "jobs/container_links.h"
#include "jobs/container_namespaces.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"
#include "jobs/sandbox_pool.h"
#include "reactor/base/byte_size.h"
#include "reactor/offload.h"
#include "reactor/undo.h"

namespace davit {

namespace {

/// "parent", "/parent/": "/parent". Kept below the hierarchy's root by dropping every "..".
std::string cgroup_parent_clean(std::string_view parent) {
    std::string clean;
    while (!parent.empty()) {
        const std::string_view part = parent.substr(0, parent.find('/'));
        parent.remove_prefix(std::min(parent.size(), part.size() + 1));
        if (!part.empty() && part != "." && part != "..") {
            clean.append("/").append(part);
        }
    }
    return clean;
}

struct FoundImage {
    ImageRecord record;
    ImageConfig config;
};

Result<FoundImage> image_find(Daemon& daemon, const std::string& name) {
    return daemon.graph->view([&](const ReadTxn& txn) -> Result<FoundImage> {
        TRY(const ImageMatch match, image_resolve(txn, name));
        TRY(auto record, image_get(txn, match.id));
        if (!record) {
            return Error(ErrorKind::not_found, "No such image: " + name);
        }
        TRY(const std::string bytes, image_config_bytes(txn, match.id));
        TRY(ImageConfig config, image_config_parse(bytes));
        return FoundImage{*std::move(record), std::move(config)};
    });
}

/// An image for another platform is refused if one was asked for; else there is a warning, and the
/// kernel may know how to run it (binfmt_misc). A config that names none is taken for the host's.
Result<void> platform_check(const ContainerCreateRequest& request,
                            const Platform& actual,
                            std::vector<std::string>& warnings) {
    if (!request.platform.empty()) {
        TRY(const Platform wanted, platform_parse(request.platform));
        return platform_require(request.config.image, wanted, actual);
    }
    if (!actual.architecture.empty() && platform_match(platform_host(), actual) == 0) {
        warnings.push_back("The requested image's platform (" + actual.str() +
                           ") does not match the detected host platform (" + platform_host().str() +
                           ") and no specific platform was requested");
    }
    return ok;
}

Result<std::string> name_choose(const Daemon& daemon, std::string wanted) {
    if (!wanted.empty()) {
        TRY(std::string name, container_name_check(wanted));
        TRY_VOID(daemon.containers.name_check(name));
        return name;
    }
    for (int attempt = 0;; ++attempt) {
        std::string name = "/" + container_name_generate(attempt);
        if (daemon.containers.name_check(name)) {
            return name;
        }
    }
}

/// A sandbox made ahead for containers with such a configuration.
SandboxReservation sandbox_reserve(Daemon& daemon, const ContainerCreateRequest& request) {
    HostConfig host = request.host_config;
    host_config_complete(host, daemon.cgroups.mode == CgroupMode::v2);
    return daemon.sandboxes->reserve(
        host,
        daemon.networks->network_to_prepare(
            host.network_mode, request.config.mac_address, request.endpoints));
}

/// The record as it will be stored; nothing outside is touched yet.
Result<ContainerRecord> record_make(Daemon& daemon,
                                    ContainerCreateRequest request,
                                    const FoundImage& image,
                                    const SandboxReservation& sandbox,
                                    std::vector<std::string>& warnings) {
    ContainerRecord record;
    record.id = sandbox ? sandbox.id() : ContainerId::generate();
    TRY(record.name, name_choose(daemon, std::move(request.name)));
    record.created = wall_now();
    record.image_id = image.record.id;
    record.chain_id = image.record.chain_id;
    record.driver = daemon.graph_driver->name();
    record.config = std::move(request.config);
    record.host_config = std::move(request.host_config);
    const HostFacts host{daemon.system.host_name,
                         daemon.system.cpu_count,
                         container_mount_lookups(daemon),
                         daemon.cgroups.mode == CgroupMode::v2};
    TRY_VOID(container_merge(record, image.config.config, warnings, host));
    TRY_VOID(user_namespace_check(daemon, record.host_config));
    for (MountPoint& mount : record.mounts) {
        mount.read_only_recursive =
            mount.read_only_recursive && (mount.type != "bind" || request.read_only_recursive);
    }
    TRY_VOID(namespaces_resolve(daemon, record.host_config));
    TRY_VOID(daemon.networks->choose(record, std::move(request.endpoints)));
    std::ranges::move(daemon.networks->warnings(record), std::back_inserter(warnings));
    TRY_VOID(links_resolve(daemon, record));
    TRY_VOID(host_limits_check(record.host_config, daemon.host_limits));
    std::ranges::move(host_limit_warnings(record.host_config, daemon.host_limits),
                      std::back_inserter(warnings));
    record.rw_name = record.id.short_id();
    record.cgroup_path = container_cgroup_path(daemon, record.host_config.cgroup_parent, record.id);
    record.files_directory = daemon.files_directory(record.id);
    record.log_path = log_path_of(
        record.host_config.log_config, daemon.log_directory(record.id), record.id.str());
    return record;
}

/// What Mounts binds must be there, unless it is to be made; -v makes what is missing at start.
/// The paths are the client's and may be on a file system that does not answer: not on the loop.
Task<void> bind_sources_check(const ContainerRecord& record) {
    std::vector<std::string> sources;
    for (const MountPoint& mount : record.mounts) {
        if (mount.type == "bind" && !mount.create_source) {
            sources.push_back(mount.source);
        }
    }
    if (sources.empty()) {
        co_return ok;
    }
    auto check = [sources = std::move(sources)]() -> Result<void> {
        for (const std::string& source : sources) {
            if (::access(source.c_str(), F_OK) != 0) {
                return Error(ErrorKind::invalid_argument,
                             "invalid mount config for type \"bind\": bind source path does not "
                             "exist: " +
                                 source);
            }
        }
        return ok;
    };
    co_return co_await offload(std::move(check));
}

/// StorageOpt size. A driver of whole trees has nothing to bound before it has made one.
Task<void> storage_limit(Daemon& daemon, const ContainerRecord& record) {
    const auto size = record.host_config.storage_opt.find("size");
    if (size == record.host_config.storage_opt.end()) {
        co_return ok;
    }
    CO_TRY(const std::int64_t bytes, byte_size_parse(size->second));
    CO_TRY(RootfsSpec spec, container_rootfs_spec(daemon, record));
    CO_CHECK(co_await daemon.graph_driver->prepare(std::move(spec)));
    co_return co_await daemon.graph_driver->rw_limit(record.rw_name,
                                                     static_cast<std::uint64_t>(bytes));
}

}  // namespace

std::string container_cgroup_path(const Daemon& daemon,
                                  const std::string& parent,
                                  const ContainerId& id) {
    return (parent.empty() ? daemon.config.cgroup_parent : cgroup_parent_clean(parent)) + "/" +
           id.str();
}

namespace {

/// Of a container that cannot be completed. Errors: the disk does not take that either; so it keeps
/// all that it has, as one that is to be removed.
Task<void> record_take_back(Daemon& daemon, Container& container, Error why) {
    Result<void> erased = co_await daemon.container_erase(container);
    if (!erased) {
        container.record.state.status = ContainerState::dead;
        container.removal_error = why.message();
        container.unwanted = true;
        daemon.removal_owed.set();
    }
    co_return erased;
}

Task<ContainerCreated> container_make(Job& job, Daemon& daemon, ContainerCreateRequest request) {
    const Foreground::Hold hold(daemon.foreground);
    job.phases().begin("resolve");
    CO_TRY(const FoundImage image, image_find(daemon, request.config.image));
    ContainerCreated created;
    CO_CHECK(platform_check(request, image.config.platform, created.warnings));
    SandboxReservation sandbox = sandbox_reserve(daemon, request);
    std::optional<CreateKey> key = std::move(request.create_key);
    CO_TRY(ContainerRecord record,
           record_make(daemon, std::move(request), image, sandbox, created.warnings));
    CO_CHECK(co_await bind_sources_check(record));
    created.id = record.id;
    if (key) {
        key->warnings = created.warnings;
        record.create_key = std::move(key);
    }
    auto container = std::make_shared<Container>(std::move(record));
    // From here on the name is taken, so two creates that wait for the disk cannot share it.
    CO_CHECK(daemon.containers.insert(container));
    Undo undo;
    undo.add("name", [&daemon, container]() -> Task<void> {
        daemon.containers.erase(container->id());
        co_return ok;
    });
    job.phases().begin("rootfs");
    Result<void> done = daemon.graph_driver->rw_create(container->record.rw_name);
    if (done) {
        undo.add("writable directory", [&daemon, container]() -> Task<void> {
            co_return daemon.graph_driver->rw_remove(container->record.rw_name);
        });
        done = co_await storage_limit(daemon, container->record);
    }
    if (done) {
        job.phases().begin("volumes");
        ContainerVolumes volumes(daemon, *container);
        undo.add("volumes", [&daemon, container]() -> Task<void> {
            co_return co_await container_volumes_release(daemon, container->record, true);
        });
        done = co_await volumes.make();
        if (done) {
            job.phases().begin("record");
            done = co_await daemon.container_insert(*container, volumes.staged());
        }
        if (done) {
            done = co_await volumes.publish();
            if (!done) {
                const Result<void> taken_back =
                    co_await record_take_back(daemon, *container, done.error());
                if (!taken_back) {
                    undo.disarm();
                }
            }
        } else {
            volumes.unstage();
        }
    }
    if (!done) {
        co_await undo.unwind();
        co_return std::move(done).error();
    }
    undo.disarm();
    sandbox.keep();
    daemon.image_used(container->record.image_id);
    container_event(daemon, *container, "create");
    co_return std::move(created);
}

}  // namespace

Task<ContainerCreated> container_create(Job& job, Daemon& daemon, ContainerCreateRequest request) {
    if (!request.create_key) {
        co_return co_await container_make(job, daemon, std::move(request));
    }
    job.phases().begin("key");
    CO_TRY(const ContainerKeys::Turn turn,
           co_await daemon.container_keys.turn(request.create_key->key));
    CO_TRY(const std::shared_ptr<Container> made,
           container_key_find(daemon.containers, *request.create_key));
    if (made) {
        ContainerCreated created;
        created.id = made->id();
        created.warnings = made->record.create_key->warnings;
        co_return std::move(created);
    }
    co_return co_await container_make(job, daemon, std::move(request));
}

void container_event(Daemon& daemon,
                     const Container& container,
                     std::string action,
                     std::vector<std::pair<std::string, std::string>> extra) {
    const ContainerRecord& record = container.record;
    std::vector<std::pair<std::string, std::string>> attributes(record.config.labels.begin(),
                                                                record.config.labels.end());
    attributes.emplace_back("image", record.config.image);
    attributes.emplace_back("name", record.name.substr(1));
    for (auto& pair : extra) {
        attributes.push_back(std::move(pair));
    }
    daemon.events.publish("container", std::move(action), record.id.str(), std::move(attributes));
}

}  // namespace davit
