#include "jobs/container_starter.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <iterator>

#include "jobs/container/cgroup_cleanup.h"
#include "jobs/container/log_config.h"
#include "jobs/container/mount_propagation.h"
#include "jobs/container/sandbox_files.h"
#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/container_links.h"
#include "jobs/container_namespaces.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "jobs/log_server.h"
#include "jobs/network/networks.h"
#include "jobs/sandbox_pool.h"
#include "libcontainer/launch.h"
#include "libcontainer/mount.h"
#include "libcontainer/reaper_binary.h"
#include "libcontainer/user.h"
#include "reactor/base/log.h"
#include "reactor/offload.h"
#include "reactor/task_group.h"
#include "reactor/undo.h"

namespace davit {

namespace {

SandboxFilesRequest sandbox_files_request(const ContainerRecord& record,
                                          const Sandbox& sandbox,
                                          const IdMap& ids) {
    SandboxFilesRequest request;
    request.uid = ids.uid_outside(0).value_or(0);
    request.gid = ids.gid_outside(0).value_or(0);
    request.host_network = record.host_config.network_mode == "host";
    request.hostname = record.config.hostname;
    request.domainname = record.config.domainname;
    request.extra_hosts = record.host_config.extra_hosts;
    request.dns = record.host_config.dns;
    request.dns_search = record.host_config.dns_search;
    request.dns_options = record.host_config.dns_options;
    request.own_hosts = sandbox.hosts;
    request.host_gateway = sandbox.host_gateway;
    request.own_network = sandbox.own;
    request.resolver = sandbox.resolver;
    return request;
}

/// Mounts that shall propagate must be able to. The paths are looked at where they lead to.
Task<void> propagation_check(const ContainerRecord& record) {
    std::vector<MountPoint> lively;
    for (const MountPoint& mount : record.mounts) {
        if (mount.type == "bind" && !mount.propagation.ends_with("private")) {
            lively.push_back(mount);
        }
    }
    if (lively.empty()) {
        co_return ok;
    }
    auto check = [lively = std::move(lively)]() -> Result<void> {
        constexpr std::size_t mountinfo_bytes_max = 64U << 20U;
        TRY(const std::string mountinfo, file_read("/proc/self/mountinfo", mountinfo_bytes_max));
        for (const MountPoint& mount : lively) {
            std::array<char, PATH_MAX> path{};
            if (::realpath(mount.source.c_str(), path.data()) == nullptr) {
                return Error::from_errno(errno, "realpath", mount.source);
            }
            TRY_VOID(mount_propagation_check(path.data(), mount.propagation, mountinfo));
        }
        return ok;
    };
    co_return co_await offload(std::move(check));
}

/// libcontainer tells of the command without an errno; its other steps name their system call.
bool is_about_command(const Error& error) {
    return error.errno_value() == 0 &&
           (error.kind() == ErrorKind::not_found || error.kind() == ErrorKind::permission_denied);
}

/// Everything the new process needs, by step; each that took something tells `undo`.
class Starter {
  public:
    Starter(Daemon& daemon, Container& container, Job& job, Undo& undo)
        : daemon_(daemon), container_(container), job_(job), phases_(job.phases()), undo_(undo) {}

    Task<void> start() {
        CO_CHECK(user_namespace_check(daemon_, container_.record.host_config));
        CO_CHECK(co_await sandbox_take());
        if (namespaces_are_shared(container_.record.host_config)) {
            phases_.begin("namespaces");
            CO_TRY(joined_, co_await namespaces_join(daemon_, container_));
        }
        if (has_user_namespace(daemon_, container_.record.host_config)) {
            phases_.begin("userns");
        }
        CO_TRY(users_, co_await user_namespace_for_start(daemon_, container_));
        phases_.begin("network");
        // The root is mounted by a worker meanwhile.
        Task<Fd> root_task = root_mount();
        Task<Surroundings> surroundings_task = surroundings();
        CO_TRY(auto prepared,
               co_await when_both(std::move(root_task), std::move(surroundings_task)));
        Fd rootfs = std::move(prepared.first);
        auto& [sandbox, links, mounts] = prepared.second;

        phases_.begin("resolve");
        SpecInputs inputs;
        CO_TRY(inputs.user,
               user_resolve_in_root(rootfs.get(),
                                    container_.record.config.user,
                                    container_.record.host_config.group_add));

        phases_.begin("cgroup");
        CO_TRY(inputs.devices, co_await devices_find(inputs.user));
        CO_CHECK(co_await cgroup_make(inputs.devices));
        inputs.cgroup = cgroup_->placement();
        inputs.descriptors = daemon_.config.descriptors_at_start;
        inputs.ids = users_.ids;
        inputs.volumes_unmapped = volumes_unmapped(daemon_, container_.record);
        if (warm_) {
            sandbox.netns.reset();  // It is in there.
        }
        inputs.joins_network = static_cast<bool>(sandbox.netns);
        inputs.own_network = sandbox.own;
        joined_.tell(inputs);
        inputs.link_environment = std::move(links.environment);
        inputs.files_directory = sandbox.files_directory;
        inputs.init_default = daemon_.config.init;

        phases_.begin("plan");
        CO_TRY(inputs.seccomp, co_await daemon_.seccomp.of(container_.record));
        CO_TRY(const ContainerSpec spec, spec_build(container_.record, inputs));
        ExecRequest request;
        if (warm_) {
            CO_CHECK(sandbox_check(spec));
        }
        PlanOptions options;
        options.in_sandbox = warm_.has_value();
        CO_TRY(request.plan, plan_compile(spec, options));
        request.registers.push_back(std::move(rootfs));
        if (users_.user) {
            request.registers.push_back(std::move(users_.user));
        }
        if (sandbox.netns) {
            request.registers.push_back(std::move(sandbox.netns));
        }
        joined_.registers_add(request.registers);
        std::ranges::move(mounts, std::back_inserter(request.registers));
        CO_CHECK(co_await sources_open(request));
        request.cgroup_fd = cgroup_->unified_fd();
        request.open_stdin = container_.record.config.open_stdin;
        request.terminal = container_.record.config.tty;

        CO_TRY(OutputSlot slot, daemon_.outputs->slot_take(container_.id()));
        slot_.emplace(std::move(slot));

        phases_.begin("exec");
        if (warm_) {
            request.parked = std::move(warm_->parked);
        }
        Result<ExecProcess> process = co_await daemon_.exec_driver->start(std::move(request));
        if (!process) {
            if (std::optional<Error> ended = joined_.donor_ended()) {
                co_return *std::move(ended);
            }
            command_failed_ = is_about_command(process.error());
            co_return std::move(process).error();
        }
        phases_.end();
        warn(process->warnings);
        run_take(*std::move(process));
        container_.record.user = std::move(inputs.user);
        keep();
        co_return ok;
    }

    /// start() failed because the user's command is not there, or cannot be executed.
    bool command_failed() const { return command_failed_; }

    /// start() failed because of the sandbox that it had: without one it may go well.
    bool sandbox_failed(const Error& error) const {
        return warm_ && (sandbox_unfit_ || error.kind() == ErrorKind::unavailable);
    }

  private:
    /// The sandbox that waits for this container, if there is one.
    Task<void> sandbox_take() {
        CO_TRY(warm_, co_await daemon_.sandboxes->take(container_.id()));
        if (!warm_) {
            co_return ok;
        }
        phases_.begin("sandbox");
        undo_.add("sandbox", [this]() -> Task<void> {
            co_return co_await daemon_.sandboxes->end(std::move(*warm_));
        });
        sandbox_unfit_ = !warm_->parked.init || !sandbox_allows(container_.record) ||
                         (warm_->shape.network && !networks_are_as_prepared());
        if (sandbox_unfit_) {
            co_return Error(ErrorKind::unavailable, "the sandbox cannot be used");
        }
        cgroup_ = warm_->cgroup;
        co_return ok;
    }

    bool networks_are_as_prepared() const {
        const ContainerRecord& record = container_.record;
        return warm_->endpoint && record.networks.size() == 1 &&
               daemon_.networks->network_to_prepare(record.host_config.network_mode,
                                                    record.config.mac_address,
                                                    record.networks) == warm_->shape.network;
    }

    /// What its init has done is what this container would have had done.
    Result<void> sandbox_check(const ContainerSpec& spec) {
        const Result<LaunchPlan> own = sandbox_plan_compile(spec);
        sandbox_unfit_ = !own || own->bytes != warm_->plan;
        if (sandbox_unfit_) {
            return Error(ErrorKind::internal, "the sandbox that waited is of another kind");
        }
        return ok;
    }

    /// What is bound into it, which an init in a sandbox cannot see.
    Task<void> sources_open(ExecRequest& request) {
        if (request.plan.sources.empty()) {
            co_return ok;
        }
        auto open = [sources = request.plan.sources]() -> Result<std::vector<Fd>> {
            std::vector<Fd> opened;
            for (const MountSource& source : sources) {
                TRY(Fd fd, open_tree_clone(AT_FDCWD, source.path, source.recursive));
                opened.push_back(std::move(fd));
            }
            return opened;
        };
        CO_TRY(std::vector<Fd> opened, co_await offload(std::move(open)));
        std::ranges::move(opened, std::back_inserter(request.registers));
        if (request.registers.size() > hand_over_registers_max) {
            sandbox_unfit_ = true;
            co_return Error(ErrorKind::resource_exhausted, "too many mounts for a sandbox");
        }
        co_return ok;
    }

    /// What a container has around its root.
    struct Surroundings {
        Sandbox sandbox;
        LinksGiven links;
        /// Those that are passed to the launch.
        std::vector<Fd> mounts;
    };

    Task<Surroundings> surroundings() {
        // First: a half-made one is taken back, too.
        undo_.add("network", [this]() -> Task<void> {
            daemon_.networks->release(container_);
            co_return ok;
        });
        if (warm_) {
            CO_TRY(users_.network, Fd::duplicate(warm_->netns.get()));
        }
        Surroundings made;
        ReadyEndpoint ready;
        if (warm_) {
            ready = std::move(warm_->endpoint);
        }
        CO_TRY(made.sandbox,
               co_await daemon_.networks->attach(
                   container_, std::move(users_.network), std::move(ready)));
        links_readdress(daemon_, container_);
        CO_TRY(made.links, links_given(daemon_, container_.record));
        std::ranges::move(made.links.hosts, std::back_inserter(made.sandbox.hosts));

        phases_.begin("files");
        const std::string& files = container_.record.files_directory;
        CO_CHECK(make_directories(files, 0711));
        CO_CHECK(sandbox_files_write(
            files, sandbox_files_request(container_.record, made.sandbox, users_.ids)));
        if (container_has_init(container_.record.host_config, daemon_.config.init)) {
            CO_CHECK(reaper_binary_write(files));
        }
        CO_CHECK(container_bind_sources_make(container_.record));
        CO_CHECK(co_await propagation_check(container_.record));
        CO_CHECK(co_await log_open());
        CO_TRY(made.mounts, co_await volumes_mount());
        phases_.begin("rootfs");  // What is left to wait for.
        co_return std::move(made);
    }

    Task<Fd> root_mount() {
        CO_TRY(RootfsSpec root, container_rootfs_spec(daemon_, container_.record));
        root.maps_ids = static_cast<bool>(users_.user);
        co_return co_await rootfs_mount(*daemon_.graph_driver, std::move(root));
    }

    /// Gives: the mounts that are passed to the launch.
    Task<std::vector<Fd>> volumes_mount() {
        if (!container_has_volumes(container_.record)) {
            co_return std::vector<Fd>();
        }
        phases_.begin("volumes");
        undo_.add("volumes", [this]() -> Task<void> {
            return container_volumes_unmount(daemon_, container_.record);
        });
        co_return co_await container_volumes_mount(daemon_, container_.record, users_.user.get());
    }

    /// A container that asks for none, as most, does not wait for a worker.
    Task<ContainerDevices> devices_find(const ResolvedUser& user) {
        if (!container_has_devices(container_.record.host_config)) {
            co_return ContainerDevices{};
        }
        auto find = [config = container_.record.host_config,
                     directories = daemon_.config.cdi_directories,
                     uid = user.uid,
                     gid = user.gid] { return container_devices(config, directories, uid, gid); };
        co_return co_await offload(std::move(find));
    }

    Task<void> cgroup_make(const ContainerDevices& devices) {
        const Resources resources = resources_build(container_.record, devices);
        std::vector<std::string> warnings;
        if (warm_) {
            CO_CHECK(cgroup_->update(resources, warnings));
        } else {
            auto make = [layout = daemon_.cgroups,
                         path = container_.record.cgroup_path,
                         resources]() -> Result<std::pair<Cgroup, std::vector<std::string>>> {
                std::vector<std::string> told;
                TRY(Cgroup cgroup, Cgroup::create(layout, path, resources, told));
                return std::pair(std::move(cgroup), std::move(told));
            };
            CO_TRY(auto made, co_await offload(std::move(make)));
            cgroup_ = std::make_shared<Cgroup>(std::move(made.first));
            warnings = std::move(made.second);
            undo_.add("cgroup", [cgroup = cgroup_, name = container_.id().short_id()]() {
                return cgroup_clean_up(*cgroup, name);
            });
        }
        warn(warnings);
        co_return ok;
    }

    /// The log's file is made now, but with --rm only when there is something to write.
    Task<void> log_open() {
        if (container_.record.log_path.empty()) {
            co_return ok;
        }
        JsonFileWriter log = log_writer_make(container_.record);
        if (log_has_service(container_.record.host_config.log_config)) {
            const Foreground::Pass pass(daemon_.foreground);
            auto sink = co_await log_service_connect(container_.record, daemon_.system.host_name);
            if (!sink) {
                co_return std::move(sink).error().context("failed to initialize logging driver");
            }
            log.also_to(*std::move(sink));
        }
        if (!container_.record.host_config.auto_remove) {
            CO_CHECK(log.create());
        }
        container_.output.log_to(std::move(log));
        co_return ok;
    }

    void warn(const std::vector<std::string>& warnings) {
        for (const std::string& warning : warnings) {
            job_.complain(warning);
        }
    }

    void run_take(ExecProcess process) {
        auto run = std::make_shared<ContainerRun>();
        run->init = std::move(process.init);
        run->ids = users_.ids;
        if (!container_.input_spent || container_.inputs_awaited > 0) {
            run->input = std::move(process.input);
        }
        container_.input_spent = false;
        run->output = std::move(process.output);
        run->error = std::move(process.error);
        run->tty = container_.record.config.tty;
        run->cgroup = cgroup_;
        run->slot.emplace(*std::move(slot_));
        run->keeper = &daemon_.keeper;
        container_.run = std::move(run);
    }

    /// From here on the run outlives the daemon: a later one finds it with the keeper. If it also
    /// finds the record as one that runs, it goes on; else the start was not answered, and the run
    /// is ended.
    void keep() {
        const ContainerRun& run = *container_.run;
        if (!container_.record.log_path.empty()) {
            container_.output.logs_from(*container_.run->slot);
        }
        const auto fd_of = [](const std::unique_ptr<FdStream>& stream) {
            return stream ? stream->fd() : -1;
        };
        const KeeperLink::Holding holding{.slot = run.slot->number(),
                                          .id = container_.id(),
                                          .process = run.init,
                                          .input = run.tty ? -1 : fd_of(run.input),
                                          .output = fd_of(run.output),
                                          .error = fd_of(run.error)};
        if (const Result<void> held = daemon_.keeper.hold(holding); !held) {
            LOG_WARN(
                "container={}: {}, ignoring", container_.id().short_id(), held.error().message());
        }
    }

    Daemon& daemon_;
    Container& container_;
    Job& job_;
    PhaseRecorder& phases_;
    Undo& undo_;
    std::shared_ptr<Cgroup> cgroup_;
    std::optional<OutputSlot> slot_;
    JoinedNamespaces joined_;
    UserNamespaceGiven users_;
    std::optional<ParkedSandbox> warm_;
    bool sandbox_unfit_ = false;
    bool command_failed_ = false;
};

/// A command that cannot be run is the client's mistake, whatever the errno was; a step of ours
/// that does not find its file is not.
Error start_error(Error error, bool command_failed) {
    if (command_failed) {
        return std::move(error).with_kind(ErrorKind::invalid_argument);
    }
    const ErrorKind kind = error.kind();
    const bool ours = error.errno_value() != 0 &&
                      (kind == ErrorKind::not_found || kind == ErrorKind::permission_denied ||
                       kind == ErrorKind::conflict || kind == ErrorKind::invalid_argument);
    return ours || kind == ErrorKind::not_found ? std::move(error).with_kind(ErrorKind::internal)
                                                : std::move(error);
}

/// The exit code that a container keeps when it could not be started. Follows: docker-run(1).
int start_exit_code(const Error& error, bool command_failed) {
    if (!command_failed) {
        return 128;
    }
    return error.kind() == ErrorKind::not_found ? 127 : 126;
}

}  // namespace

Task<StartAttempt> container_start_once(Job& job, Daemon& daemon, Container& container) {
    Undo undo;
    Starter starter(daemon, container, job, undo);
    const Result<void> network = daemon.networks->check(container.record);
    Result<void> started = network;
    if (network) {
        started = co_await starter.start();
    }
    StartAttempt attempt;
    if (started) {
        undo.disarm();
        co_return std::move(attempt);
    }
    attempt.retry = starter.sandbox_failed(started.error());
    co_await undo.unwind();
    Error error = std::move(started).error();
    attempt.exit_code = start_exit_code(error, starter.command_failed());
    // A network that is not there is the client's to name: it stays "not found".
    attempt.failure =
        network ? start_error(std::move(error), starter.command_failed()) : std::move(error);
    co_return std::move(attempt);
}

Result<void> container_bind_sources_make(const ContainerRecord& record) {
    for (const MountPoint& mount : record.mounts) {
        if (mount.type != "bind" || ::access(mount.source.c_str(), F_OK) == 0) {
            continue;
        }
        if (!mount.create_source) {
            return Error(ErrorKind::invalid_argument,
                         "invalid mount config for type \"bind\": bind source path does not "
                         "exist: " +
                             mount.source);
        }
        TRY_VOID(make_directories(mount.source));
    }
    return ok;
}

}  // namespace davit
