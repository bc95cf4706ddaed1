#include "jobs/container_files.h"

#include <unistd.h>

#include <algorithm>

#include "jobs/container/spec_build.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "libcontainer/launch_plan.h"

namespace davit {

namespace {

/// Its init is not reaped as long as the run is there, so its number is nobody else's.
Result<MountedTree> running_tree(const ContainerRun& run) {
    const std::string process = "/proc/" + std::to_string(run.init.pid());
    MountedTree tree;
    TRY(tree.mount_namespace, Fd::open(process + "/ns/mnt", O_RDONLY));
    TRY(tree.root, Fd::open(process + "/root", O_RDONLY | O_DIRECTORY));
    return tree;
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
        if (mount.kind == MountKind::bind && !(ours && ::access(mount.source.c_str(), F_OK) != 0)) {
            spec.mounts.push_back(std::move(mount));
        }
    }
    return plan_compile(spec, {.gate = true});
}

Task<MountedTree> stopped_tree(Daemon& daemon, std::shared_ptr<Container> container) {
    const ContainerRecord& record = container->record;
    CO_CHECK(container_bind_sources_make(record));
    ExecRequest request;
    CO_TRY(request.plan, files_plan(record));
    CO_TRY(RootfsSpec layers, container_rootfs_spec(daemon, record));
    layers.rw_volatile = false;  // What is written now must be there when it starts.
    CO_TRY(Fd root, co_await rootfs_mount(*daemon.graph_driver, std::move(layers)));
    request.registers.push_back(std::move(root));
    co_return co_await daemon.exec_driver->mount_tree(std::move(request));
}

}  // namespace

Task<ContainerFiles> container_files_open(Daemon& daemon, std::shared_ptr<Container> container) {
    ContainerFiles files;
    // Without a turn: who has it may wait for the container's end.
    if (container->run != nullptr) {
        if (auto tree = running_tree(*container->run)) {
            files.tree = *std::move(tree);
            co_return std::move(files);
        }
        // Its init has ended a moment ago.
    }
    CO_TRY(files.turn, co_await container->operations.lock());
    while (container->run != nullptr) {
        if (auto tree = running_tree(*container->run)) {
            files.tree = *std::move(tree);
            files.turn.reset();
            co_return std::move(files);
        }
        CO_CHECK(co_await container->wait_changed());
    }
    if (container->removed || container->removing) {
        co_return Error(ErrorKind::conflict,
                        "container " + container->id().str() + " is being removed");
    }
    CO_TRY(files.tree, co_await stopped_tree(daemon, container));
    co_return std::move(files);
}

}  // namespace davit
