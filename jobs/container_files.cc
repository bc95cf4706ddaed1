#include "jobs/container_files.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/container_volumes.h"
#include "jobs/daemon.h"
#include "libcontainer/launch_plan.h"

namespace davit {

namespace {

/// Those of a container that does not run: its turn is given up after its mounts.
struct StoppedFiles {
    Semaphore::Permit turn;
    MountedTree tree;
};

/// Its init is not reaped as long as the run is there, so its number is nobody else's.
Result<ContainerFiles> running_files(const ContainerRun& run) {
    const std::string process = "/proc/" + std::to_string(run.init.pid());
    MountedTree tree;
    TRY(tree.mount_namespace, Fd::open(process + "/ns/mnt", O_RDONLY));
    TRY(tree.root, Fd::open(process + "/root", O_RDONLY | O_DIRECTORY));
    return ContainerFiles{std::make_shared<const MountedTree>(std::move(tree)), run.ids};
}

/// The root and what is bound into it; no process will run in it, so everything else is as it is.
Result<LaunchPlan> files_plan(const ContainerRecord& record) {
    TRY(ContainerSpec whole, spec_build(record, SpecInputs{}));
    ContainerSpec spec;
    spec.id = record.id.str();
    spec.namespaces = {.pid = NamespaceMode::host,
                       .network = NamespaceMode::host,
                       .ipc = NamespaceMode::host,
                       .uts = NamespaceMode::host,
                       .cgroup = NamespaceMode::host};
    spec.rootfs_readonly = whole.rootfs_readonly;
    spec.new_session_keyring = false;
    spec.process.arguments = {"none"};
    for (Mount& mount : whole.mounts) {
        // Its files of this boot are there only once it has been started.
        const bool ours = mount.source.starts_with(record.files_directory + "/");
        const bool is_there = !ours || ::access(mount.source.c_str(), F_OK) == 0;
        if (mount.kind == MountKind::prepared || (mount.kind == MountKind::bind && is_there)) {
            spec.mounts.push_back(std::move(mount));
        }
    }
    return plan_compile(spec, {.gate = true});
}

Task<MountedTree> tree_mount(Daemon& daemon,
                             std::shared_ptr<Container> container,
                             std::vector<Fd> mounts) {
    const ContainerRecord& record = container->record;
    ExecRequest request;
    CO_TRY(request.plan, files_plan(record));
    CO_TRY(RootfsSpec layers, container_rootfs_spec(daemon, record));
    layers.rw_volatile = false;  // What is written now must be there when it starts.
    CO_TRY(Fd root, co_await rootfs_mount(*daemon.graph_driver, std::move(layers)));
    request.registers.push_back(std::move(root));
    std::ranges::move(mounts, std::back_inserter(request.registers));
    co_return co_await daemon.exec_driver->mount_tree(std::move(request));
}

/// Volumes that have to be mounted are so only until the tree has mounts of its own.
Task<MountedTree> stopped_tree(Daemon& daemon, std::shared_ptr<Container> container) {
    const ContainerRecord& record = container->record;
    CO_CHECK(container_bind_sources_make(record));
    if (!container_has_volumes(record)) {
        std::vector<Fd> none;
        co_return co_await tree_mount(daemon, container, std::move(none));
    }
    Result<MountedTree> tree = MountedTree{};
    Result<std::vector<Fd>> mounts = co_await container_volumes_mount(daemon, record);
    if (mounts) {
        tree = co_await tree_mount(daemon, container, *std::move(mounts));
    } else {
        tree = std::move(mounts).error();
    }
    static_cast<void>(co_await shielded(container_volumes_unmount(daemon, record)));
    co_return std::move(tree);
}

}  // namespace

Task<ContainerFiles> container_files_open(Daemon& daemon, std::shared_ptr<Container> container) {
    // Without a turn: who has it may wait for the container's end.
    if (container->run != nullptr) {
        if (auto files = running_files(*container->run)) {
            co_return *std::move(files);
        }
        // Its init has ended a moment ago.
    }
    // One copy at a time asks for the turn, and the others for what it gets.
    CO_TRY(const auto opening, co_await container->files_opening.lock());
    ContainerFiles files;
    files.tree = container->files.lock();
    if (files.tree) {
        co_return std::move(files);
    }
    auto stopped = std::make_shared<StoppedFiles>();
    CO_TRY(stopped->turn, co_await container->operations.lock());
    while (container->run != nullptr) {
        if (auto running = running_files(*container->run)) {
            co_return *std::move(running);
        }
        CO_CHECK(co_await container->wait_changed());
    }
    if (container->removed || container->removing) {
        co_return Error(ErrorKind::conflict,
                        "container " + container->id().str() + " is being removed");
    }
    CO_TRY(stopped->tree, co_await stopped_tree(daemon, container));
    files.tree = std::shared_ptr<const MountedTree>(stopped, &stopped->tree);
    container->files = files.tree;
    co_return std::move(files);
}

}  // namespace davit
