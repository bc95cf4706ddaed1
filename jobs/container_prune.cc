#include "jobs/container_prune.h"

#include "jobs/container_jobs.h"
#include "jobs/daemon.h"

namespace davit {

namespace {

bool is_up(const Container& container) {
    const ContainerState state = container.record.state.status;
    return container.run || state == ContainerState::running || state == ContainerState::paused ||
           state == ContainerState::restarting;
}

/// Its size is asked for first: afterwards nobody knows.
Task<void> prune_one(Job& job,
                     Daemon& daemon,
                     std::shared_ptr<Container> container,
                     ContainersPruned& pruned) {
    const Result<ContainerSize> size = co_await container_size(daemon, container);
    CO_CHECK(co_await container_remove(job, daemon, container, ContainerRemoveRequest()));
    pruned.ids.push_back(container->id());
    pruned.bytes += size ? size->writable : 0;
    co_return ok;
}

Task<void> prune_all(Job& job,
                     Daemon& daemon,
                     ContainerPruneAdmits admits,
                     ContainersPruned& pruned) {
    for (const auto& container : daemon.containers.list()) {
        if (is_up(*container) || container->removing || container->removed ||
            !admits(container->record)) {
            continue;
        }
        Result<void> done = co_await prune_one(job, daemon, container, pruned);
        if (!done && done.error().kind() == ErrorKind::cancelled) {
            co_return std::move(done).error();
        }
        if (!done) {
            job.complain("failed to prune container " + container->id().str() + ": " +
                         done.error().message());
        }
    }
    co_return ok;
}

}  // namespace

Task<ContainersPruned> container_prune(Job& job, Daemon& daemon, ContainerPruneAdmits admits) {
    if (daemon.containers_prune_runs) {
        co_return Error(ErrorKind::conflict, "a prune operation is already running");
    }
    daemon.containers_prune_runs = true;
    ContainersPruned pruned;
    Result<void> done = co_await prune_all(job, daemon, std::move(admits), pruned);
    daemon.containers_prune_runs = false;
    std::vector<std::pair<std::string, std::string>> attributes;
    attributes.emplace_back("reclaimed", std::to_string(pruned.bytes));
    daemon.events.publish("container", "prune", "", std::move(attributes));
    CO_CHECK(std::move(done));
    co_return std::move(pruned);
}

}  // namespace davit
