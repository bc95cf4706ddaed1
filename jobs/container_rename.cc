#include "jobs/container/name_generator.h"
#include "jobs/container_jobs.h"
#include "jobs/daemon.h"
#include "jobs/network/networks.h"

namespace davit {

namespace {

/// Once the new name is kept, the record is written, whether or not the client is still there.
Task<void> rename_store(Daemon& daemon, std::shared_ptr<Container> container, std::string name) {
    // Whatever else is stored of the container meanwhile bears the new name already.
    const std::string old = std::exchange(container->record.name, std::move(name));
    Result<void> stored = co_await daemon.container_rename(*container);
    if (!stored) {
        daemon.containers.name_release(std::exchange(container->record.name, old));
        co_return std::move(stored).error();
    }
    daemon.containers.name_release(old);
    daemon.networks->renamed(*container);
    container_event(daemon, *container, "rename", {{"oldName", old}});
    co_return ok;
}

}  // namespace

Task<void> container_rename(Job& job,
                            Daemon& daemon,
                            std::shared_ptr<Container> container,
                            std::string wanted) {
    if (wanted.empty()) {
        co_return Error(ErrorKind::invalid_argument, "Neither old nor new names may be empty");
    }
    CO_TRY(const auto permit, co_await container->operations.lock());
    if (container->removed) {
        co_return Error(ErrorKind::not_found, "No such container: " + container->id().str());
    }
    if (container->record.name == (wanted.front() == '/' ? wanted : "/" + wanted)) {
        co_return Error(ErrorKind::invalid_argument,
                        "Renaming a container with the same name as its current name");
    }
    constexpr const char* step = "Error when allocating new name";
    Result<std::string> name = container_name_check(wanted);
    if (!name) {
        co_return std::move(name).error().context(step);
    }
    if (Result<void> kept = daemon.containers.name_reserve(*name, container->id()); !kept) {
        co_return std::move(kept).error().context(step);
    }
    job.phases().begin("record");
    co_return co_await shielded(rename_store(daemon, container, *std::move(name)));
}

}  // namespace davit
