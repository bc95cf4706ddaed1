#pragma once
/// The jobs of a container's life. Each takes the container's operations mutex where it changes it.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/graph/driver.h"
#include "jobs/container/container.h"
#include "jobs/container/tree_size.h"
#include "jobs/engine.h"

namespace davit {

class Daemon;

struct ContainerCreateRequest {
    /// As the client gave it; empty: one is made up.
    std::string name;
    ContainerConfig config;
    HostConfig host_config;
    /// By network, as the client named it.
    std::map<std::string, EndpointSettings> endpoints;
    /// "linux/amd64"; empty: the host's.
    std::string platform;
    /// Whether a read-only bind mount is so with what is mounted below it, if it does not say.
    bool read_only_recursive = true;
    /// With an idempotency key (container_keys.h): the key, and what the client asked for.
    std::optional<CreateKey> create_key = {};
};

struct ContainerCreated {
    ContainerId id;
    std::vector<std::string> warnings;
};

/// Where a container's cgroup is, below the root of each hierarchy.
/// Takes: parent: HostConfig.CgroupParent; "": the daemon's own.
std::string container_cgroup_path(const Daemon& daemon,
                                  const std::string& parent,
                                  const ContainerId& id);

/// POST /containers/create. Follows: Docker Engine API, operation ContainerCreate.
/// With an idempotency key that has made a container already: that one, and what was said of it.
/// Errors: not_found (no such image); conflict (the name is taken, or the key by another request);
///         invalid_argument; unsupported.
Task<ContainerCreated> container_create(Job& job, Daemon& daemon, ContainerCreateRequest request);

/// POST /containers/{id}/start. Moves created | exited -> running.
/// Errors: not_modified (already running); invalid_argument (no such command); conflict; any
/// driver's,
///         after every step already taken has been undone.
/// Cancel: honoured until the program runs.
/// Takes: lane: who asks (jobs/admission.h); 0: the daemon itself.
Task<void> container_start(Job& job,
                           Daemon& daemon,
                           std::shared_ptr<Container> container,
                           std::uint64_t lane = 0);

/// Start a container whose restart policy says so; nothing if it is to restart no longer.
Task<void> container_start_again(Job& job, Daemon& daemon, std::shared_ptr<Container> container);

/// A container between two runs is not to be started again. The caller holds its operations mutex.
Task<void> container_restart_cancel(Daemon& daemon, Container& container);

struct ContainerStopRequest {
    /// First signal; absent: the container's own, else SIGTERM.
    std::optional<int> signal;
    /// Seconds until SIGKILL; negative: never; absent: the container's own, else 10.
    std::optional<int> timeout_seconds;
};

/// POST /containers/{id}/stop. Errors: not_modified (not running).
Task<void> container_stop(Job& job,
                          Daemon& daemon,
                          std::shared_ptr<Container> container,
                          ContainerStopRequest request);

/// POST /containers/{id}/restart: stop if it runs, then start.
Task<void> container_restart(Job& job,
                             Daemon& daemon,
                             std::shared_ptr<Container> container,
                             ContainerStopRequest request);

/// POST /containers/{id}/kill. Errors: conflict (not running).
Task<void> container_kill(Job& job,
                          Daemon& daemon,
                          std::shared_ptr<Container> container,
                          int signal);

/// POST /containers/{id}/rename. Nothing but the name changes: what bears the id stays.
/// Takes:  wanted: with or without its slash.
/// Errors: conflict (taken); invalid_argument (no name, or the one it has); not_found (removed).
Task<void> container_rename(Job& job,
                            Daemon& daemon,
                            std::shared_ptr<Container> container,
                            std::string wanted);

/// POST /containers/{id}/pause: freeze every process. Moves running -> paused.
/// Errors: conflict (not running, or paused already); timed_out (a process cannot be frozen).
/// Cancel: honoured until all stand still; it is thawed again then.
Task<void> container_pause(Job& job, Daemon& daemon, std::shared_ptr<Container> container);

/// POST /containers/{id}/unpause. Moves paused -> running. Errors: conflict (not paused).
Task<void> container_unpause(Job& job, Daemon& daemon, std::shared_ptr<Container> container);

/// Thaw a paused container, for a signal that was sent to it to be seen; else do nothing. The
/// caller stores the record.
void container_wake(Daemon& daemon, Container& container);

/// POST /containers/{id}/update: limits and restart policy, of a running container at once.
/// Takes:  update: what is not to be changed is as in a HostConfig of nothing.
/// Gives:  warnings for the client.
/// Errors: invalid_argument and conflict, in Docker's words; internal (what the kernel refuses;
///         nothing has changed then); conflict (being removed).
Task<std::vector<std::string>> container_update(Job& job,
                                                Daemon& daemon,
                                                std::shared_ptr<Container> container,
                                                HostConfig update);

struct ContainerRemoveRequest {
    /// Kill it if it runs.
    bool force = false;
    /// Its anonymous volumes go, too; with --rm they always do.
    bool volumes = false;
};

/// DELETE /containers/{id}. Errors: conflict (running, or being removed already).
Task<void> container_remove(Job& job,
                            Daemon& daemon,
                            std::shared_ptr<Container> container,
                            ContainerRemoveRequest request);

/// Whenever the removal of a container with --rm has failed, try again: after a second, then at
/// intervals that double up to a minute, until none is left. Runs until cancelled.
Task<void> container_removals_retry(Daemon& daemon);

/// What its root file system is made of. Errors: not_found (its layers are gone).
Result<RootfsSpec> container_rootfs_spec(const Daemon& daemon, const ContainerRecord& record);

/// Make the missing sources of bind mounts given by -v, as Docker does.
/// Errors: invalid_argument (one given by --mount is missing).
Result<void> container_bind_sources_make(const ContainerRecord& record);

/// How large a container's file system is: its own layer is walked on the worker pool.
/// Errors: not_found (removed meanwhile); resource_exhausted; what the disk says.
Task<ContainerSize> container_size(Daemon& daemon, std::shared_ptr<Container> container);

enum class WaitCondition { not_running, next_exit, removed };

/// What POST /containers/{id}/wait waits for. Made before the client learns that the waiting began,
/// so that an exit in between is not missed.
class ContainerWaiter {
  public:
    ContainerWaiter(std::shared_ptr<Container> container, WaitCondition condition)
        : container_(std::move(container)), condition_(condition), exits_seen_(container_->exits) {}

    struct Outcome {
        int exit_code = 0;
        /// Of a removal that was waited for, and failed.
        std::string error;
    };

    /// Errors: cancelled.
    Task<Outcome> wait();

  private:
    bool fulfilled() const;

    std::shared_ptr<Container> container_;
    WaitCondition condition_;
    std::uint64_t exits_seen_;
};

/// Build what an earlier daemon had of a run that goes on, for container_supervise(). Without the
/// keeper's part its streams are gone: the other ends were closed with the processes that had them.
/// Errors: not_found (it has just ended).
Result<void> container_resume(Daemon& daemon, Container& container, std::optional<Kept> kept);

/// Follow a run to its end: output, exit, cgroup, record, events; then remove the container if it
/// asked for that. Runs in the daemon's own group, whatever becomes of the client that started it.
Task<void> container_supervise(Daemon& daemon, std::shared_ptr<Container> container);

/// Publish a container's event with its labels, image and name. Follows: SystemEvents.
void container_event(Daemon& daemon,
                     const Container& container,
                     std::string action,
                     std::vector<std::pair<std::string, std::string>> extra = {});

}  // namespace davit
